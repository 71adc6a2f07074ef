#include "companion/app_exchange.h"

#include "base/race.h"
#include "base/service.h"
#include "http/forward.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;

}  // namespace

Task<Result<>> AppExchange::run(const AppRequest& request, Answered answered) {
  Result<> result = co_await run_once(request, answered, false);
  // A kept connection that ended before the application said anything. Unless it has read nothing, it
  // may have worked on the request nevertheless, and died of it.
  const bool untouched = reused_ && answer_ && !answer_->began();
  if (!result && untouched && result.code() == ErrorCode::Unavailable &&
      (is_idempotent(request.method) || co_await link_.is_unread(*conn_, written_))) {
    co_return co_await run_once(request, answered, true);
  }
  co_return result;
}

Task<Result<>> AppExchange::run_once(const AppRequest& request, const Answered& answered,
                                     bool fresh) {
  CO_TRY(ApplicationLink::Leased leased, co_await link_.lease(request.deadline, fresh));
  conn_ = std::move(leased.conn);
  reused_ = leased.reused;
  written_ = conn_->written();
  input_.emplace(*conn_);
  answer_.emplace(HttpReader::response(*input_, kHeadBytesMax, request.method == "HEAD"));
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(request.head),
                                                     asio::buffer(request.body)};
  // Most requests go at once, and two tasks cost as much as all the rest.
  const size_t sent = conn_->write_now(buffers);
  sent_whole_ = sent == request.head.size() + request.body.size();
  if (sent_whole_) co_return co_await receive(answered);
  std::optional<Result<>> received;
  co_await race(send_rest(request, sent), detail::store_result(receive(answered), received));
  co_return received ? *received : Error::cancelled();
}

Task<void> AppExchange::send_rest(const AppRequest& request, size_t sent) {
  std::string_view head = request.head;
  std::string_view body = request.body;
  head.remove_prefix(std::min(sent, head.size()));
  body.remove_prefix(sent - (request.head.size() - head.size()));
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  const Result<> written = co_await conn_->write(buffers);
  sent_whole_ = written.has_value();
  // An application that refuses may close its side; its answer is what counts.
  co_await until_cancelled();
}

Task<Result<>> AppExchange::receive(const Answered& answered) {
  CO_TRY(const bool whole, co_await answer_->read_final_head());
  if (!whole) co_return Error::unavailable("the application closed the connection");
  co_await answered();
  co_return Result<>();
}

void AppExchange::finish() {
  if (!conn_) return;
  if (!sent_whole_) {
    conn_->close();  // send_rest() still writes to it
  } else if (answer_->connection_reusable()) {
    link_.give_back(std::move(conn_));
  } else {
    conn_.reset();
  }
}

}  // namespace mesclun::companion
