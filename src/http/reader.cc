#include "http/reader.h"

#include <fmt/format.h>

namespace mesclun {

std::string HttpInput::take_rest() {
  drop_used();
  return std::exchange(bytes_, {});
}

void HttpInput::drop_used() {
  bytes_.erase(0, used_);
  used_ = 0;
}

Task<Result<bool>> ConnInput::fill() {
  drop_used();
  // A connection that rests after a large message gives its buffer back.
  if (bytes_.empty() && bytes_.capacity() > 4 * read_bytes_) free_memory(bytes_);
  // Not into a buffer of this frame, which would be allocated anew for each read.
  const size_t had = bytes_.size();
  const size_t size = had + read_bytes_;
  // Unlike resize() without writing zeros, which cost more than reading a small message.
  bytes_.resize_and_overwrite(size, [size](char*, size_t) { return size; });
  const Result<size_t> n =
      co_await conn_->read_some(asio::buffer(bytes_.data() + had, read_bytes_));
  bytes_.resize(had + (n ? *n : 0));
  if (!n) co_return n.error();
  read_bytes_ = *n == read_bytes_ ? std::min(2 * read_bytes_, kReadBytesMax) : kReadBytesMin;
  co_return *n > 0;
}

HttpReader HttpReader::request(HttpInput& input, size_t head_bytes_max) {
  return {input, HttpParser::request(head_bytes_max), head_bytes_max, false};
}

HttpReader HttpReader::response(HttpInput& input, size_t head_bytes_max, bool to_head_request) {
  return {input, HttpParser::response(head_bytes_max, to_head_request), head_bytes_max,
          to_head_request};
}

Result<bool> HttpReader::take_head() {
  TRY(const Step step, parse_head(input_->bytes()));
  input_->use(step.consumed);
  return step.done;
}

Task<Result<bool>> HttpReader::read_head() {
  while (true) {
    CO_TRY(const bool whole, take_head());
    if (whole) co_return true;
    if (!input_->fill_now()) {
      CO_TRY(const bool more, co_await input_->fill());
      if (!more) co_return false;
    }
  }
}

Task<Result<bool>> HttpReader::read_final_head() {
  for (int interim = 0; interim < kInterimMax; ++interim) {
    CO_TRY(const bool whole, co_await read_head());
    if (!whole || !is_interim()) co_return whole;
    next_answer();
  }
  co_return Error::invalid("too many interim answers");
}

bool HttpReader::is_interim() {
  const int status = response_head().status;
  return status / 100 == 1 && status != 101;
}

void HttpReader::next_answer() {
  began_ = true;
  HttpParser::operator=(HttpParser::response(head_bytes_max_, to_head_request_));
}

Result<bool> HttpReader::take_body(std::vector<std::string_view>& pieces) {
  if (body_done()) return true;
  TRY(const Step step, parse_body(input_->bytes(), pieces));
  input_->use(step.consumed);
  return body_done();
}

Task<Result<>> HttpReader::fill_body() {
  if (input_->fill_now()) co_return Result<>();
  CO_TRY(const bool more, co_await input_->fill());
  if (!more) co_return end_of_stream();
  co_return Result<>();
}

Task<Result<bool>> HttpReader::read_body(std::vector<std::string_view>& pieces) {
  while (true) {
    CO_TRY(const bool ended, take_body(pieces));
    if (ended || !pieces.empty()) co_return ended;
    CO_TRY_DO(co_await fill_body());
  }
}

Task<Result<>> HttpReader::read_whole_body(std::string& body, size_t bytes_max) {
  const auto too_large = [bytes_max] {
    return Error{ErrorCode::OutOfRange, fmt::format("the body is larger than {} bytes", bytes_max)};
  };
  const BodyFraming known = framing();
  if (known.kind == BodyFraming::Kind::Length && known.length > bytes_max) co_return too_large();
  std::vector<std::string_view> pieces;
  while (true) {
    pieces.clear();
    CO_TRY(const bool ended, take_body(pieces));
    for (const std::string_view piece : pieces) body.append(piece);
    if (body.size() > bytes_max) co_return too_large();
    if (ended) co_return Result<>();
    CO_TRY_DO(co_await fill_body());
  }
}

}  // namespace mesclun
