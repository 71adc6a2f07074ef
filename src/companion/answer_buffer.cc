#include "companion/answer_buffer.h"

namespace mesclun::companion {

namespace {

// So little that a caller of a few hundred bytes a second still finishes one within idle_timeout.
constexpr size_t kPiece = 16 * 1024;

}  // namespace

void AnswerBuffer::put(std::span<const asio::const_buffer> buffers) {
  // Once behind, write_out() may be in the middle of a write.
  size_t written = is_behind() ? 0 : caller_.write_now(buffers);
  for (const asio::const_buffer& buffer : buffers) {
    std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
    const size_t gone = std::min(written, rest.size());
    rest.remove_prefix(gone);
    written -= gone;
    if (rest.empty()) continue;
    kept_ += rest;
    unwritten_ += rest.size();
    share_.take(rest.size());
    if (!changed_) changed_.emplace(executor_);
  }
  if (changed_) changed_->notify_all();
}

bool AnswerBuffer::has_room() const {
  if (unwritten_ == 0) return true;
  return unwritten_ < config_.answer_buffer_max && share_.answers_have_room();
}

Task<Result<>> AnswerBuffer::wait_for_room() {
  while (!has_room()) CO_TRY_DO(co_await changed_->wait());
  co_return Result<>();
}

void AnswerBuffer::end(bool whole) {
  ended_ = true;
  broken_ = !whole;
  if (changed_) changed_->notify_all();
}

// Asked when the caller takes no more for now: what it has taken since the last time may have been
// hidden in the kernel's buffer for long, and come at once.
bool AnswerBuffer::keeps_the_rate() {
  const Duration passed = clock_.now() - window_began_;
  if (passed < config_.idle_timeout) return true;
  const double wanted = static_cast<double>(config_.rate_min) * to_seconds(passed);
  const bool kept = static_cast<double>(window_bytes_) >= wanted;
  window_began_ = clock_.now();
  window_bytes_ = 0;
  return kept;
}

Task<bool> AnswerBuffer::write_piece(std::string_view piece) {
  const asio::const_buffer all = asio::buffer(piece);
  const size_t at_once = caller_.write_now(std::span(&all, 1));
  if (at_once < piece.size()) {
    if (!keeps_the_rate()) co_return false;
    caller_.set_idle_deadline(clock_.now() + config_.idle_timeout, config_.idle_timeout);
    if (!co_await caller_.write(piece.substr(at_once))) co_return false;
  }
  window_bytes_ += piece.size();
  unwritten_ -= piece.size();
  share_.give_back(piece.size());
  changed_->notify_all();
  co_return true;
}

Task<bool> AnswerBuffer::write_out() {
  window_began_ = clock_.now();
  while (!broken_) {
    if (kept_.empty()) {
      if (ended_) co_return true;
      const TimePoint waits_from = clock_.now();
      if (!co_await changed_->wait()) co_return false;
      // For the application, not for the caller.
      window_began_ += clock_.now() - waits_from;
      continue;
    }
    const std::string text = std::exchange(kept_, {});
    for (size_t at = 0; at < text.size() && !broken_; at += kPiece) {
      if (!co_await write_piece(std::string_view(text).substr(at, kPiece))) co_return false;
    }
  }
  co_return false;
}

}  // namespace mesclun::companion
