#include "runtime/shim/shim_control.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace mesclun::runtime {

Result<> send_message(int socket, std::string_view text, std::span<const int> descriptors) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kControlDescriptorsMax)] = {};
  if (!descriptors.empty()) {
    const size_t bytes = descriptors.size_bytes();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return system_error("cannot reach the other side");
  }
  return {};
}

Result<std::optional<ControlMessage>> receive_message(int socket) {
  ControlMessage received;
  received.text.resize(kControlMessageBytesMax);
  iovec part{received.text.data(), received.text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kControlDescriptorsMax)];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  while ((n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR) return system_error("cannot hear the other side");
  }
  received.text.resize(static_cast<size_t>(n));
  for (cmsghdr* it = CMSG_FIRSTHDR(&message); it != nullptr; it = CMSG_NXTHDR(&message, it)) {
    if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (it->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(it) + i * sizeof(int), sizeof(int));
      received.descriptors.emplace_back(descriptor);
    }
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return Error{ErrorCode::OutOfRange, "message too large"};
  }
  return received;
}

namespace {

Descriptor control_socket() {
  return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

}  // namespace

Result<Descriptor> listen_control() {
  Descriptor socket = control_socket();
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  std::strcpy(where.sun_path, "control");
  ::unlink(where.sun_path);
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(socket.get(), 64) != 0) {
    return system_error("cannot make the control socket");
  }
  return socket;
}

Result<Descriptor> connect_control(const std::string& run_folder) {
  // Socket paths are short; folders may be deep.
  const Descriptor folder(::open(run_folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return system_error("cannot open " + run_folder);
  Descriptor socket = control_socket();
  if (!socket) return system_error("no control socket");
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/control", folder.get());
  std::strcpy(where.sun_path, path.c_str());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
    const ErrorCode code = errno == EAGAIN ? ErrorCode::ResourceExhausted : ErrorCode::Unavailable;
    return Error{code, system_error("cannot reach the shim").message};
  }
  return socket;
}

}  // namespace mesclun::runtime
