#include "gateway/client_input.h"

namespace mesclun::gateway {

namespace {

constexpr size_t kBulkBytes = 32 * 1024;
// An idle connection holds no more than this.
constexpr size_t kSmallBytes = 4 * 1024;

}  // namespace

Task<Result<>> ClientInput::run() {
  std::string piece;
  while (true) {
    while (bytes().size() >= kAheadMax) {
      if (!co_await room_.wait()) co_return Result<>();
    }
    const size_t want = bulk ? kBulkBytes : kSmallBytes;
    if (piece.size() != want) piece.resize(want);
    const Result<size_t> n = co_await conn_.read_some(asio::buffer(piece));
    if (!n || *n == 0) {
      end_ = n ? Result<>() : Result<>(n.error());
      changed_.notify_all();
      if (gone() && on_gone) std::exchange(on_gone, nullptr)();
      co_return Result<>();
    }
    if (used_ == bytes_.size()) {
      bytes_.clear();
      used_ = 0;
    }
    bytes_.append(piece, 0, *n);
    changed_.notify_all();
  }
}

void ClientInput::consume(size_t n) {
  used_ += n;
  if (used_ == bytes_.size()) {
    bytes_.clear();
    used_ = 0;
  }
  room_.notify_all();
}

std::string ClientInput::take() {
  std::string all = std::move(bytes_);
  all.erase(0, used_);
  bytes_.clear();
  used_ = 0;
  room_.notify_all();
  return all;
}

void ClientInput::put_back(std::string_view rest) {
  if (rest.empty()) return;
  bytes_.replace(0, used_, rest);
  used_ = 0;
}

Task<Result<bool>> ClientInput::more(size_t had) {
  const uint64_t interrupts = interrupts_;
  while (bytes().size() <= had) {
    if (interrupts_ != interrupts) co_return Error::cancelled();
    if (end_) {
      if (!*end_) co_return end_->error();
      co_return false;
    }
    CO_TRY_DO(co_await changed_.wait());
  }
  co_return true;
}

void ClientInput::interrupt() {
  ++interrupts_;
  changed_.notify_all();
}

}  // namespace mesclun::gateway
