#include "gateway/websocket_splice.h"

#include "base/race.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kOtherDirection = 10s;  // after the instance has ended its own

}  // namespace

Task<void> WebSocketSplice::run(std::string first) {
  touch();
  if (co_await request_.client.conn().write(first)) {
    co_await join(copy_to_instance(), copy_to_client());
  }
}

void WebSocketSplice::set_deadlines(Duration from_now) {
  const TimePoint deadline = request_.now() + from_now;
  request_.client.conn().set_idle_deadline(deadline, from_now);
  stream_.set_deadline(deadline);
}

void WebSocketSplice::touch() {
  if (!answer_ended_) set_deadlines(request_.limits().stream_idle_timeout);
}

Task<void> WebSocketSplice::copy_to_client() {
  Conn& client = request_.client.conn();
  std::string bytes;
  while (true) {
    bytes.clear();
    const Result<bool> more = co_await stream_.read_all(bytes);
    if (!more || !*more) {
      // Idle, or broken: neither side shall wait for the other.
      if (more) client.shutdown_write();
      if (!more) client.close();
      break;
    }
    touch();
    request_.bytes_out += bytes.size();
    if (!co_await client.write(bytes)) {
      stream_.abort();
      break;
    }
  }
  answer_ended_ = true;
  set_deadlines(kOtherDirection);
}

Task<void> WebSocketSplice::copy_to_instance() {
  ClientInput& input = request_.client.input();
  while (true) {
    if (input.bytes().empty()) {
      const Result<bool> more = co_await input.fill();
      if (!more) stream_.abort();
      if (more && !*more) stream_.shutdown_write();
      if (!more || !*more) break;
    }
    touch();
    const size_t size = input.bytes().size();
    request_.bytes_in += size;
    const Result<> written = co_await stream_.write(input.bytes());
    input.use(size);
    if (!written) {
      request_.client.conn().close();
      break;
    }
  }
}

}  // namespace mesclun::gateway
