#include "companion/application_check.h"

#include "companion/app_exchange.h"
#include "http/forward.h"

namespace mesclun::companion {

namespace {

// A page that is read to its end, so that its connection can be kept. The status of a larger one
// decides as well.
constexpr size_t kBodyMax = 64 * 1024;

Task<void> note_status(AppExchange& exchange, int& status) {
  status = exchange.answer().response_head().status;
  std::string body;
  if (co_await exchange.answer().read_whole_body(body, kBodyMax)) exchange.finish();
}

Task<Result<int>> ask_status(ApplicationLink& link, std::string path, TimePoint deadline) {
  AppRequest request{.method = "GET", .deadline = deadline};
  request.head = "GET " + path + " HTTP/1.1\r\n";
  append_field("Host", link.host(), request.head);
  append_field("User-Agent", "mesclun-app", request.head);
  request.head += "\r\n";
  AppExchange exchange(link);
  int status = 0;
  CO_TRY_DO(co_await exchange.run(request, [&] { return note_status(exchange, status); }));
  co_return status;
}

}  // namespace

Task<Result<>> check_application(const ApplicationConfig& config, Clock& clock,
                                 ApplicationLink& link) {
  if (config.check_path.empty()) co_return co_await link.probe(config.check_timeout);
  const TimePoint deadline = clock.now() + config.check_timeout;
  const Result<int> status = co_await ask_status(link, config.check_path, deadline);
  if (!status && status.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(fmt::format("no answer from {} within {:.1f} s", config.check_path,
                                          to_seconds(config.check_timeout)));
  }
  if (!status) co_return status.error();
  if (*status >= 500) {
    co_return Error::unavailable(fmt::format("{} answered {}", config.check_path, *status));
  }
  co_return Result<>();
}

}  // namespace mesclun::companion
