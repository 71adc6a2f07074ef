#include "companion/application_watch.h"

#include "base/log.h"
#include "companion/application_check.h"

namespace mesclun::companion {

namespace {

constexpr Duration kHealthInterval = 100ms;

}  // namespace

Task<Result<>> ApplicationWatch::check_loop(ApplicationLink& link) {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(config_.check_interval));
    const Result<> answer = co_await check_application(config_, clock_, link);
    if (answer) {
      judge_.check_passed();
    } else if (answer.code() == ErrorCode::Cancelled) {
      co_return answer;
    } else {
      const bool at_work = front_ != nullptr && front_->queue().dispatches() > 0;
      judge_.check_failed(answer.error().message, at_work);
    }
  }
}

Task<Result<>> ApplicationWatch::health_loop() {
  while (true) {
    look();
    CO_TRY_DO(co_await clock_.sleep_for(kHealthInterval));
  }
}

void ApplicationWatch::look() {
  const HealthVerdict verdict = pages_.health();
  const TimePoint now = clock_.now();
  if (verdict.health != known_) report(verdict);
  if (known_ != Health::Failed || endings_.first()) {
    failed_since_.reset();
    acted_ = false;
  } else if (!failed_since_) {
    failed_since_ = now;
  } else if (!acted_ && now - *failed_since_ >= config_.failed_grace) {
    acted_ = true;
    endings_.act(config_.on_failed, "the application failed: " + verdict.reason, false, true);
  }
}

void ApplicationWatch::report(const HealthVerdict& verdict) {
  const bool was_bad = known_ == Health::Failed;
  known_ = verdict.health;
  if (known_ == Health::Failed) {
    log_warning("health", "failed", {{"reason", verdict.reason}});
  } else if (was_bad) {
    log_info("health", "healthy again");
  } else {
    log_debug("health", to_string(known_), {{"reason", verdict.reason}});
  }
}

}  // namespace mesclun::companion
