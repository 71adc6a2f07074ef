#include "base/socket_conn.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "base/connect_attempts.h"
#include "base/deadline_wheel.h"
#include "base/file.h"
#include "base/integer.h"
#include "base/log.h"
#include "base/race.h"
#include "base/tcp_state.h"
#include "base/text.h"

namespace mesclun {

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
using boost::system::error_code;

Error broken(const error_code& error) {
  return Error::unavailable(error.message());
}

enum class Made { Here, Elsewhere };

// A wait of a connection without a task. Its memory is allocated once and used by one wait after the
// other: what a connection keeps while it rests would otherwise lie between what the busy give back.
struct ReadWait {
  std::function<void(bool)> then;
  // For the operation that Asio keeps.
  static constexpr size_t kBytes = 256;
  alignas(std::max_align_t) std::array<std::byte, kBytes> memory;
  bool used = false;
};

template <class T>
class ReadWaitMemory {
 public:
  using value_type = T;
  explicit ReadWaitMemory(ReadWait& wait) : wait_(&wait) {}
  template <class U>
  ReadWaitMemory(const ReadWaitMemory<U>& other) : wait_(other.wait_) {}

  T* allocate(size_t n) {
    if (wait_->used || n * sizeof(T) > ReadWait::kBytes) return std::allocator<T>().allocate(n);
    wait_->used = true;
    return reinterpret_cast<T*>(wait_->memory.data());
  }
  void deallocate(T* memory, size_t n) {
    if (reinterpret_cast<std::byte*>(memory) != wait_->memory.data()) {
      std::allocator<T>().deallocate(memory, n);
    } else {
      wait_->used = false;
    }
  }
  bool operator==(const ReadWaitMemory& other) const { return wait_ == other.wait_; }

 private:
  template <class U>
  friend class ReadWaitMemory;
  ReadWait* wait_;
};

class SocketConn final : public Conn {
 public:
  SocketConn(StreamSocket socket, std::string peer, Made made)
      : socket_(std::move(socket)),
        peer_(std::move(peer)),
        wheel_(asio::use_service<DeadlineWheel>(
            asio::query(socket_.get_executor(), asio::execution::context))),
        made_(made) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    socket_.non_blocking(true, ignored);
    wheel_.watch(deadline_, [this] { expire(); });
  }
  ~SocketConn() override { SocketConn::close(); }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
    if (takes_turns()) co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    if (closed_) co_return Error::unavailable("connection closed");
    if (expired_) co_return Error::deadline("connection deadline");
    if (!drained_) {
      // The system call first: under load there is usually something, and waiting costs a turn of
      // the loop.
      error_code error;
      const size_t n = socket_.read_some(asio::buffer(buffer), error);
      drained_ = n < buffer.size();
      if (!error) co_return n;
      if (error == asio::error::eof) co_return size_t{0};
      if (error != asio::error::would_block) co_return broken(error);
    }
    // Asio tries once more by itself before it waits, and asks the kernel for nothing else.
    auto [error, n] = co_await socket_.async_read_some(asio::buffer(buffer), kAwait);
    drained_ = n < buffer.size();
    if (!error) co_return n;
    if (error == asio::error::eof) co_return size_t{0};
    co_return why_no_more(error, is_cancelled(co_await asio::this_coro::cancellation_state));
  }

  bool when_readable(std::function<void(bool)> then) override {
    if (!wait_) wait_ = std::make_shared<ReadWait>();
    wait_->then = std::move(then);
    drained_ = false;
    if (closed_ || expired_) {
      asio::post(socket_.get_executor(), [wait = wait_] { finish(*wait, false); });
    } else {
      wait_readable();
    }
    return true;
  }
  void cancel_read() override {
    error_code ignored;
    if (!closed_) socket_.cancel(ignored);
  }

  size_t write_now(std::span<const asio::const_buffer> buffers) override {
    if (closed_ || expired_) return 0;
    error_code error;
    const size_t n = socket_.write_some(buffers.first(std::min(buffers.size(), kGather)), error);
    if (!error) written_ += n;
    return error ? 0 : n;
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
    if (takes_turns()) co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    if (closed_) co_return Error::unavailable("connection closed");
    std::array<asio::const_buffer, kGather> gather;
    while (!buffers.empty()) {
      const size_t count = std::min(buffers.size(), kGather);
      std::copy_n(buffers.begin(), count, gather.begin());
      buffers = buffers.subspan(count);
      std::span<asio::const_buffer> rest(gather.data(), count);
      while (!rest.empty()) {
        if (rest.front().size() == 0) {
          rest = rest.subspan(1);
          continue;
        }
        if (expired_) co_return Error::deadline("connection deadline");
        error_code error;
        size_t n = socket_.write_some(rest, error);
        if (error == asio::error::would_block) {
          auto [failed] = co_await socket_.async_wait(StreamSocket::wait_write, kAwait);
          if (!failed) continue;
          co_return why_no_more(failed, is_cancelled(co_await asio::this_coro::cancellation_state));
        }
        if (error) co_return broken(error);
        written_ += n;
        while (n > 0) {
          const size_t used = std::min(n, rest.front().size());
          rest.front() += used;
          n -= used;
          if (rest.front().size() == 0) rest = rest.subspan(1);
        }
      }
    }
    co_return Result<>();
  }

  bool is_clean() const override {
    if (closed_ || expired_) return false;
    char byte = 0;
    // The socket does not block: nothing to read, and no end, is the error.
    const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  Peer peer() const override {
    if (closed_) return Peer::Gone;
    pollfd asked{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
    if (::poll(&asked, 1, 0) <= 0) return Peer::There;
    return (asked.revents & (POLLERR | POLLHUP)) != 0 ? Peer::Gone : Peer::SendsNoMore;
  }
  void set_deadline(TimePoint when) override {
    idle_ = Duration::zero();
    start_deadline(when);
  }
  void set_idle_deadline(TimePoint when, Duration idle) override {
    idle_ = idle;
    taken_ = taken();
    start_deadline(when);
  }
  uint64_t written() const override { return written_; }
  bool is_lost_after(uint64_t first) const override {
    if (made_ != Made::Here || closed_) return false;
    const std::optional<TcpState> state = read_tcp_state(socket_.native_handle());
    // The first byte that the kernel counts is that of the connect.
    return state && state->over && state->acknowledged <= first + 1;
  }
  void shutdown_write() override {
    error_code ignored;
    socket_.shutdown(StreamSocket::shutdown_send, ignored);
  }
  void close() override {
    if (closed_) return;
    closed_ = true;
    if (wait_) wait_->then = nullptr;
    wheel_.set(deadline_, DeadlineWheel::time_point::max());
    error_code ignored;
    socket_.close(ignored);
  }
  void abort() override {
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    close();
  }
  std::string peer_address() const override { return peer_; }
  int release_descriptor() override {
    // Asio gives a socket back only by duplicating: release() on epoll cancels but keeps the
    // descriptor ours.
    const int copy = ::dup(socket_.native_handle());
    close();
    return copy;
  }

 private:
  // At most that many pieces a system call; a message of ours has two or three.
  static constexpr size_t kGather = 16;

  // A stream that never blocks must not starve the others: every so often it goes to the end of the
  // line.
  bool takes_turns() { return ++turns_ % 32 == 0; }

  Error why_no_more(const error_code& error, bool cancelled) const {
    if (expired_) return Error::deadline("connection deadline");
    if (closed_) return Error::unavailable("connection closed");
    // Or set_deadline() after an expiry that nobody saw: the wait was for the old deadline.
    if (cancelled || error == asio::error::operation_aborted) return Error::cancelled();
    return broken(error);
  }

  void wait_readable() {
    auto on_ready = [this, wait = wait_](error_code error) {
      // Not if the connection is gone, or was closed.
      if (!wait->then) return;
      if (error || expired_) return finish(*wait, false);
      char byte = 0;
      const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        wait_readable();
      } else {
        finish(*wait, n > 0);
      }
    };
    const ReadWaitMemory<std::byte> memory(*wait_);
    socket_.async_wait(StreamSocket::wait_read, asio::bind_allocator(memory, std::move(on_ready)));
  }
  static void finish(ReadWait& wait, bool readable) {
    if (const auto then = std::exchange(wait.then, nullptr)) then(readable);
  }

  void start_deadline(TimePoint when) {
    if (closed_) return;
    expired_ = false;
    when_ = when;
    wheel_.set(deadline_, when == TimePoint::max()
                              ? DeadlineWheel::time_point::max()
                              : DeadlineWheel::time_point(when.time_since_epoch()));
  }

  // Bytes that the peer's machine has taken.
  uint64_t taken() const {
    if (closed_) return 0;
    const std::optional<TcpState> state = read_tcp_state(socket_.native_handle());
    return state ? state->acknowledged : written_;
  }

  void expire() {
    if (const uint64_t now_taken = taken(); idle_ > Duration::zero() && now_taken > taken_) {
      taken_ = now_taken;
      return start_deadline(when_ + idle_);
    }
    expired_ = true;
    error_code ignored;
    socket_.cancel(ignored);
  }

  mutable StreamSocket socket_;  // asking for its descriptor changes nothing
  std::string peer_;
  DeadlineWheel& wheel_;
  DeadlineWheel::Entry deadline_;
  const Made made_;
  std::shared_ptr<ReadWait> wait_;  // made with the first wait, and kept
  uint64_t written_ = 0;
  TimePoint when_ = TimePoint::max();
  Duration idle_{};     // of the last set_idle_deadline
  uint64_t taken_ = 0;  // by the peer's machine, when that was set
  uint32_t turns_ = 0;
  bool drained_ = false;  // the last read took all there was
  bool expired_ = false;
  bool closed_ = false;
};

void set_no_delay(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::string address_text(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
  } else if (storage.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
      ::inet_ntop(AF_INET, &in.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    }
  } else {
    return "unix";
  }
  return text;
}

// A socket address holds 107 bytes. A longer path is named by its folder, which is open meanwhile.
class UnixPath {
 public:
  explicit UnixPath(std::string path) : path_(std::move(path)) {
    if (path_.size() < sizeof(sockaddr_un::sun_path)) return;
    const size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    folder_.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder_) {
      problem_ = system_error("cannot open " + folder);
      return;
    }
    path_ = fmt::format("/proc/self/fd/{}/{}", folder_.get(), path_.substr(slash + 1));
  }

  Result<asio::generic::stream_protocol::endpoint> address() const {
    if (problem_) return *problem_;
    if (path_.size() >= sizeof(sockaddr_un::sun_path)) {
      return Error::invalid("the name of a socket file is too long: " + path_);
    }
    return asio::generic::stream_protocol::endpoint(asio::local::stream_protocol::endpoint(path_));
  }

 private:
  std::string path_;
  Descriptor folder_;
  std::optional<Error> problem_;
};

Task<Result<ConnPtr>> connect_socket(StreamSocket socket,
                                     asio::generic::stream_protocol::endpoint endpoint,
                                     std::string peer) {
  auto [error] = co_await socket.async_connect(endpoint, kAwait);
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error == asio::error::connection_refused) {
    co_return Error{ErrorCode::Unavailable, error.message(), Cause::Refused};
  }
  if (error) co_return broken(error);
  set_no_delay(socket.native_handle());
  co_return std::make_unique<SocketConn>(std::move(socket), std::move(peer), Made::Here);
}

Task<Result<std::vector<asio::ip::tcp::endpoint>>> resolve(Endpoint endpoint) {
  std::vector<asio::ip::tcp::endpoint> found;
  error_code not_numeric;
  const auto numeric = asio::ip::make_address(endpoint.host, not_numeric);
  if (!not_numeric) {
    found.emplace_back(numeric, endpoint.port);
    co_return found;
  }
  // Both loopbacks, whatever the resolver knows (RFC 6761 §6.3): machines without IPv6 of their own
  // are not told of ::1.
  if (iequals(endpoint.host, "localhost")) {
    found.emplace_back(asio::ip::address_v4::loopback(), endpoint.port);
    found.emplace_back(asio::ip::address_v6::loopback(), endpoint.port);
    co_return found;
  }
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [error, results] =
      co_await resolver.async_resolve(endpoint.host, std::to_string(endpoint.port), kAwait);
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error) {
    co_return Error::unavailable(
        fmt::format("cannot resolve '{}': {}", endpoint.host, error.message()));
  }
  for (const auto& entry : results) found.push_back(entry.endpoint());
  co_return found;
}

Task<Result<ConnPtr>> connect_address(asio::ip::tcp::endpoint address) {
  StreamSocket socket(co_await asio::this_coro::executor);
  co_return co_await connect_socket(std::move(socket), address, address.address().to_string());
}

Error forbidden(const Endpoint& endpoint) {
  return {ErrorCode::PermissionDenied,
          fmt::format("{} is not reachable for everybody, and is not called from here",
                      endpoint.to_string())};
}

Task<Result<ConnPtr>> dial_any(Endpoint endpoint, Clock& clock, AddressRule rule) {
  const auto executor = co_await asio::this_coro::executor;
  if (endpoint.is_unix) {
    if (rule != nullptr) co_return forbidden(endpoint);
    StreamSocket socket(executor);
    const UnixPath path(endpoint.host);
    CO_TRY(const auto address, path.address());
    co_return co_await connect_socket(std::move(socket), address, "unix");
  }
  CO_TRY(std::vector<asio::ip::tcp::endpoint> found, co_await resolve(endpoint));
  if (rule != nullptr) {
    std::erase_if(found, [rule](const auto& address) { return !rule(address.address()); });
    if (found.empty()) co_return forbidden(endpoint);
  }
  Result<ConnPtr> conn = found.size() == 1
                             ? co_await connect_address(found.front())
                             : co_await connect_first(clock, interleaved(found), connect_address);
  if (conn || conn.code() == ErrorCode::Cancelled) co_return conn;
  co_return Error::unavailable(
      fmt::format("cannot connect to {}: {}", endpoint.to_string(), conn.error().message));
}

}  // namespace

std::string Endpoint::to_string() const {
  if (is_unix) return "unix:" + host;
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view text, uint16_t default_port) {
  const Error bad = Error::invalid(fmt::format(
      "'{}' is not an address: write HOST:PORT, [IPV6]:PORT or unix:/PATH", text.substr(0, 128)));
  if (text.starts_with("unix:")) {
    Endpoint endpoint{.host = std::string(text.substr(5)), .port = 0, .is_unix = true};
    if (endpoint.host.empty() || endpoint.host.size() >= sizeof(sockaddr_un::sun_path)) return bad;
    return endpoint;
  }
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with("[")) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return bad;
    host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty()) {
      if (rest[0] != ':') return bad;
      port = rest.substr(1);
    }
  } else if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    if (text.find(':') != colon) return bad;  // IPv6 needs the brackets
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty() || host.size() > 255) return bad;
  Endpoint endpoint{.host = std::string(host), .port = default_port};
  if (port.empty()) {
    if (default_port == 0) return bad;
    return endpoint;
  }
  const auto number = parse_integer<uint16_t>(port);
  if (!number) return bad;
  endpoint.port = *number;
  return endpoint;
}

ConnPtr make_socket_conn(StreamSocket socket, std::string peer) {
  return std::make_unique<SocketConn>(std::move(socket), std::move(peer), Made::Elsewhere);
}

Result<ConnPtr> adopt_descriptor(const asio::any_io_executor& executor, int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    const int error = errno;
    ::close(descriptor);
    return Error::unavailable(error_code(error, boost::system::system_category()).message());
  }
  StreamSocket socket(executor);
  error_code error;
  socket.assign(asio::generic::stream_protocol(storage.ss_family, 0), descriptor, error);
  if (error) {
    ::close(descriptor);
    return broken(error);
  }
  return make_socket_conn(std::move(socket), address_text(storage));
}

Task<Result<ConnPtr>> dial(Endpoint endpoint, Clock& clock, Duration limit, AddressRule rule) {
  const std::string name = endpoint.to_string();
  Result<ConnPtr> conn = co_await within(clock, limit, dial_any(std::move(endpoint), clock, rule));
  if (!conn && conn.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(
        fmt::format("no answer from {} within {} ms", name, to_millis(limit)));
  }
  co_return conn;
}

Task<Result<ConnPtr>> connect_descriptor(int descriptor, asio::ip::address address, uint16_t port,
                                         Clock& clock, Duration limit) {
  const asio::ip::tcp::endpoint endpoint(address, port);
  StreamSocket socket(co_await asio::this_coro::executor);
  error_code error;
  socket.assign(asio::generic::stream_protocol(endpoint.protocol().family(), 0), descriptor, error);
  if (error) {
    ::close(descriptor);
    co_return broken(error);
  }
  co_return co_await within(clock, limit,
                            connect_socket(std::move(socket), endpoint, address.to_string()));
}

Task<Result<bool>> is_this_machine(Endpoint endpoint) {
  if (endpoint.is_unix) co_return true;
  CO_TRY(const std::vector<asio::ip::tcp::endpoint> found, co_await resolve(endpoint));
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) co_return Error::internal("getifaddrs failed");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(interfaces, &::freeifaddrs);
  for (const auto& candidate : found) {
    bool ours = candidate.address().is_loopback();
    for (const ifaddrs* it = interfaces; it != nullptr && !ours; it = it->ifa_next) {
      if (it->ifa_addr == nullptr) continue;
      const int family = it->ifa_addr->sa_family;
      if (family != AF_INET && family != AF_INET6) continue;
      sockaddr_storage storage{};
      std::memcpy(&storage, it->ifa_addr,
                  family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
      error_code error;
      ours = candidate.address() == asio::ip::make_address(address_text(storage), error);
    }
    if (!ours) co_return false;
  }
  co_return !found.empty();
}

Result<Listener> Listener::bind(const asio::any_io_executor& executor, const Endpoint& endpoint) {
  const auto fail = [&](const error_code& error) {
    std::string hint;
    if (error == asio::error::address_in_use) {
      hint = "; another process listens there, choose another port or stop it";
    } else if (error == asio::error::access_denied) {
      hint = "; ports below 1024 need root";
    }
    return Error::unavailable(
        fmt::format("cannot listen on {}: {}{}", endpoint.to_string(), error.message(), hint));
  };
  error_code error;
  asio::generic::stream_protocol::endpoint address;
  const UnixPath path(endpoint.is_unix ? endpoint.host : std::string());
  if (endpoint.is_unix) {
    // A socket file of a dead process is in the way of every restart.
    struct stat status{};
    if (::stat(endpoint.host.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
      ::unlink(endpoint.host.c_str());
    }
    TRY(address, path.address());
  } else {
    auto host =
        asio::ip::make_address(endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host, error);
    if (error) {
      return Error::invalid(
          fmt::format("cannot listen on '{}': write a numeric address such as "
                      "127.0.0.1 or [::]",
                      endpoint.host));
    }
    address = asio::ip::tcp::endpoint(host, endpoint.port);
  }
  Acceptor acceptor(executor);
  acceptor.open(address.protocol(), error);
  if (error) return fail(error);
  if (!endpoint.is_unix) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  acceptor.bind(address, error);
  if (error) return fail(error);
  acceptor.listen(4096, error);
  if (error) return fail(error);
  Endpoint actual = endpoint;
  if (!endpoint.is_unix) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    ::getsockname(acceptor.native_handle(), reinterpret_cast<sockaddr*>(&storage), &size);
    actual.port =
        ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(storage).sin6_port
                                            : reinterpret_cast<sockaddr_in&>(storage).sin_port);
  }
  return Listener(std::move(acceptor), std::move(actual));
}

Result<Listener> Listener::adopt(const asio::any_io_executor& executor, int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size);
  Acceptor acceptor(executor);
  error_code error;
  acceptor.assign(asio::generic::stream_protocol(storage.ss_family, 0), descriptor, error);
  if (error) {
    ::close(descriptor);
    return broken(error);
  }
  return Listener(std::move(acceptor), Endpoint{.host = address_text(storage)});
}

Task<Result<ConnPtr>> Listener::accept(Clock& clock) {
  while (true) {
    if (co_await cancel_requested()) co_return Error::cancelled();
    asio::generic::stream_protocol::endpoint peer;
    auto [error, socket] = co_await acceptor_.async_accept(peer, kAwait);
    if (!error) {
      if (!endpoint_.is_unix) set_no_delay(socket.native_handle());
      sockaddr_storage storage{};
      std::memcpy(&storage, peer.data(), std::min(peer.size(), sizeof storage));
      co_return make_socket_conn(StreamSocket(std::move(socket)), address_text(storage));
    }
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
      co_return Error::cancelled();
    }
    if (error == asio::error::no_descriptors || error == asio::error::no_memory ||
        error == asio::error::no_buffer_space) {
      log_warning("net", "cannot accept, waiting",
                  {{"endpoint", endpoint_.to_string()}, {"error", error.message()}});
      CO_TRY_DO(co_await clock.sleep_for(100ms));
    }
    // Otherwise this one connection broke before we took it; the next may be fine.
  }
}

void Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace mesclun
