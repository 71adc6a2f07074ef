#include "companion/application_check.h"

namespace mesclun::companion {

namespace {

constexpr size_t kBodyMax = 1024 * 1024;

}  // namespace

Task<Result<>> check_application(const ApplicationConfig& config, Clock& clock,
                                 ApplicationLink& link) {
  if (config.check_path.empty()) co_return co_await link.probe(config.check_timeout);
  const TimePoint deadline = clock.now() + config.check_timeout;
  HttpCall call{.target = config.check_path};
  call.headers.add("User-Agent", "mesclun-app");
  const Result<HttpReply> reply = co_await link.call(std::move(call), deadline, kBodyMax);
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(fmt::format("no answer from {} within {:.1f} s", config.check_path,
                                          to_seconds(config.check_timeout)));
  }
  if (!reply) co_return reply.error();
  if (reply->status >= 500) {
    co_return Error::unavailable(fmt::format("{} answered {}", config.check_path, reply->status));
  }
  co_return Result<>();
}

}  // namespace mesclun::companion
