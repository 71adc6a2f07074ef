#include "companion/app_exchange.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;

}  // namespace

Task<Result<>> AppExchange::open(std::string head, std::string_view body, bool to_head_request,
                                 TimePoint deadline) {
  Result<> opened = co_await open_once(head, body, to_head_request, deadline, false);
  // A kept connection that ended before the application said anything.
  const bool untouched = reused_ && answer_ && !answer_->began();
  if (!opened && untouched && opened.code() == ErrorCode::Unavailable) {
    co_return co_await open_once(head, body, to_head_request, deadline, true);
  }
  co_return opened;
}

Task<Result<>> AppExchange::open_once(const std::string& head, std::string_view body,
                                      bool to_head_request, TimePoint deadline, bool fresh) {
  CO_TRY(ApplicationLink::Leased leased, co_await link_.lease(deadline, fresh));
  conn_ = std::move(leased.conn);
  reused_ = leased.reused;
  input_.emplace(*conn_);
  answer_.emplace(HttpReader::response(*input_, kHeadBytesMax, to_head_request));
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  // An application that refuses may answer before it has read all; its answer is what counts.
  const Result<> written = co_await conn_->write(buffers);
  if (!written && written.code() != ErrorCode::Unavailable) co_return written;
  CO_TRY(const bool whole, co_await answer_->read_final_head());
  if (!whole) co_return Error::unavailable("the application closed the connection");
  co_return Result<>();
}

void AppExchange::finish() {
  if (conn_ && answer_->connection_reusable()) link_.give_back(std::move(conn_));
  conn_.reset();
}

}  // namespace mesclun::companion
