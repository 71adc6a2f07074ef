#include "companion/app_exchange.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr size_t kReadBytes = 16 * 1024;

}  // namespace

Task<Result<>> AppExchange::open(std::string head, std::string_view body, bool to_head_request,
                                 TimePoint deadline) {
  bool untouched = false;
  Result<> opened = co_await open_once(head, body, to_head_request, deadline, false, untouched);
  if (!opened && untouched && opened.code() == ErrorCode::Unavailable) {
    co_return co_await open_once(head, body, to_head_request, deadline, true, untouched);
  }
  co_return opened;
}

// `untouched`: on a kept connection, and it ended before the application said anything.
Task<Result<>> AppExchange::open_once(const std::string& head, std::string_view body,
                                      bool to_head_request, TimePoint deadline, bool fresh,
                                      bool& untouched) {
  CO_TRY(ApplicationLink::Leased leased, co_await link_.lease(deadline, fresh));
  conn_ = std::move(leased.conn);
  bytes_.clear();
  untouched = leased.reused;
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  // An application that refuses may answer before it has read all; its answer is what counts.
  const Result<> written = co_await conn_->write(buffers);
  if (!written && written.code() != ErrorCode::Unavailable) co_return written;
  while (true) {
    parser_.emplace(HttpParser::response(kHeadBytesMax, to_head_request));
    while (true) {
      CO_TRY(const HttpParser::Step step, parser_->parse_head(bytes_));
      bytes_.erase(0, step.consumed);
      if (step.done) break;
      CO_TRY(const bool more, co_await fill());
      if (!more) co_return Error::unavailable("the application closed the connection");
      untouched = false;
    }
    const int status = head_status();
    if (status / 100 != 1 || status == 101) co_return Result<>();
  }
}

Task<Result<bool>> AppExchange::fill() {
  const size_t used = bytes_.size();
  bytes_.resize(used + kReadBytes);
  const Result<size_t> n =
      co_await conn_->read_some(asio::buffer(bytes_.data() + used, kReadBytes));
  bytes_.resize(used + (n ? *n : 0));
  if (!n) co_return n.error();
  co_return *n > 0;
}

Task<Result<bool>> AppExchange::read_body(std::vector<std::string_view>& pieces, Duration idle) {
  bytes_.erase(0, used_);
  used_ = 0;
  conn_->set_deadline(clock_.now() + idle);
  while (true) {
    if (parser_->body_done()) co_return true;
    if (!bytes_.empty()) {
      CO_TRY(const HttpParser::Step step, parser_->parse_body(bytes_, pieces));
      used_ = step.consumed;
      if (parser_->body_done()) co_return true;
      if (!pieces.empty()) co_return false;
      bytes_.erase(0, used_);  // only framing so far
      used_ = 0;
    }
    CO_TRY(const bool more, co_await fill());
    if (!more) {
      CO_TRY_DO(parser_->end_of_stream());
      co_return true;
    }
  }
}

void AppExchange::finish() {
  bytes_.erase(0, used_);
  used_ = 0;
  if (conn_ && parser_->keep_alive() && bytes_.empty()) link_.give_back(std::move(conn_));
  conn_.reset();
}

}  // namespace mesclun::companion
