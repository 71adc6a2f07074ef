#include "agent/machine_watch.h"

#include <algorithm>

#include "base/log.h"

namespace mesclun::agent {

namespace {

constexpr Duration kLookEvery = 30s;
constexpr Duration kHoldMin = 10s;
constexpr Duration kHoldMax = 10min;
// A trouble that comes back within so many holds was not over.
constexpr int kHoldsToTrust = 6;

}  // namespace

Task<Result<>> MachineWatch::run() {
  look_at_ = parts_.clock.now();
  while (true) {
    while (parts_.clock.now() < look_at_) {
      CO_TRY_DO(co_await blamed_.wait_until(parts_.clock, look_at_));
    }
    Result<> found = parts_.store.check();
    // Costs a process: only to know whether a trouble is over.
    if (found && !trouble_.empty()) found = co_await parts_.driver.check();
    if (!found && found.code() == ErrorCode::Cancelled) co_return found;
    look_at_ = parts_.clock.now() + (found ? kLookEvery : kHoldMin);
    set(found ? std::string() : found.error().message);
  }
}

void MachineWatch::blame(const std::string& what) {
  const TimePoint now = parts_.clock.now();
  const bool again = hold_ != Duration{} && now < recovered_ + kHoldsToTrust * hold_;
  if (trouble_.empty()) hold_ = again ? std::min(hold_ * 2, kHoldMax) : kHoldMin;
  look_at_ = now + hold_;
  set(what);
  blamed_.notify_all();
}

const std::string& MachineWatch::look() {
  if (const Result<> found = parts_.store.check(); !found) set(found.error().message);
  return trouble_;
}

void MachineWatch::set(std::string trouble) {
  if (trouble == trouble_) return;
  if (trouble.empty()) {
    recovered_ = parts_.clock.now();
    log_info("agent", "the machine takes new instances again");
  } else {
    log_warning("agent", "the machine takes no new instances", {{"why", trouble}});
  }
  trouble_ = std::move(trouble);
  parts_.changed();
}

}  // namespace mesclun::agent
