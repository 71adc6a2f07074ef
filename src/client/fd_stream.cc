#include "client/fd_stream.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/file.h"

namespace mesclun::client {

namespace {

// What a pipe that is ready takes without waiting (PIPE_BUF).
constexpr size_t kReadyBytes = 4096;
constexpr size_t kFileBytes = 64 * 1024;

}  // namespace

FdStream::FdStream(const asio::any_io_executor& executor, int descriptor, Use use)
    : descriptor_(descriptor) {
  Descriptor watch(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = use == Use::Read ? EPOLLIN : EPOLLOUT;
  if (watch && ::epoll_ctl(watch.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) {
    ready_.emplace(executor, watch.release());
  }
}

Task<Result<>> FdStream::wait() {
  if (co_await cancel_requested()) co_return Error::cancelled();
  if (!ready_) {
    // Others get their turn.
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return Result<>();
  }
  auto [error] = co_await ready_->async_wait(asio::posix::stream_descriptor::wait_read,
                                             asio::as_tuple(asio::use_awaitable));
  if (error) co_return Error::cancelled();
  co_return Result<>();
}

Task<Result<std::string>> FdStream::read(size_t bytes_max) {
  std::string bytes;
  while (true) {
    CO_TRY_DO(co_await wait());
    bytes.resize(bytes_max);
    const ssize_t n = ::read(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    // A terminal that has gone.
    if (n < 0 && errno != EIO) co_return system_error("cannot read standard input");
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    co_return bytes;
  }
}

Task<Result<>> FdStream::write(std::string bytes) {
  std::string_view left = bytes;
  while (!left.empty()) {
    CO_TRY_DO(co_await wait());
    const ssize_t n =
        ::write(descriptor_, left.data(), std::min(left.size(), ready_ ? kReadyBytes : kFileBytes));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) co_return system_error("cannot write what the command says");
    left.remove_prefix(static_cast<size_t>(n));
  }
  co_return Result<>();
}

}  // namespace mesclun::client
