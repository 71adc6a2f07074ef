// The part of an Exchange that carries a WebSocket: bytes both ways after the 101.
#include "gateway/exchange.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kOtherDirection = 10s;  // after one direction has ended in good order

}  // namespace

// Either direction keeps both alive.
void Exchange::touch() {
  const TimePoint deadline = now() + proxy_.limits().stream_idle_timeout;
  client_->conn().set_deadline(deadline);
  stream_->set_deadline(deadline);
}

Task<Exchange::End> Exchange::splice(std::shared_ptr<Exchange> self) {
  group_->stats.count_answer(101);
  client_->input().on_gone = nullptr;
  std::string out;
  append_response_head(response_->response_head(), plan_, {}, out);
  out += answer_;  // frames that came with the head
  touch();
  if (co_await client_->conn().write(out)) {
    spliced_.emplace(proxy_.scope().executor());
    proxy_.scope().spawn(splice_up(self));
    co_await splice_down();
    const TimePoint end = now() + kOtherDirection;
    while (!up_ended_ && now() < end) {
      if (!co_await spliced_->wait_until(proxy_.clock(), end)) break;
    }
  }
  stream_->abort();
  slot_.reset();
  co_return End::Leave;
}

Task<void> Exchange::splice_down() {
  while (true) {
    spare_.clear();
    const Result<bool> more = co_await stream_->read_all(spare_);
    if (!more) {
      // Idle, or broken: neither side shall wait for the other.
      client_->conn().close();
      co_return;
    }
    touch();
    if (!*more) {
      client_->conn().shutdown_write();
      co_return;
    }
    group_->stats.bytes_out += spare_.size();
    if (!co_await client_->conn().write(spare_)) {
      stream_->abort();
      co_return;
    }
  }
}

Task<Result<>> Exchange::splice_up(std::shared_ptr<Exchange> self) {
  ClientInput& input = self->client_->input();
  while (true) {
    const Result<bool> more = co_await input.more(0);
    if (!more) stream_->abort();
    if (more && !*more) stream_->shutdown_write();
    if (!more || !*more) break;
    touch();
    const std::string bytes = input.take();
    group_->stats.bytes_in += bytes.size();
    if (!co_await stream_->write(bytes)) {
      client_->conn().close();
      break;
    }
  }
  up_ended_ = true;
  spliced_->notify_all();
  co_return Result<>();
}

}  // namespace mesclun::gateway
