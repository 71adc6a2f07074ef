// The real SQL on a disk that is slow, and sometimes refuses; and as a process has it that may be
// killed.
#pragma once

#include <functional>
#include <utility>

#include "base/kill_switch.h"
#include "sim/faults.h"
#include "sim/sim_cpu.h"
#include "store/database.h"

namespace mesclun::sim {

class SimDatabase final : public store::Database {
 public:
  SimDatabase(Clock& clock, Random& random, const Faults& faults, store::Database& real)
      : clock_(clock), random_(random), faults_(faults), real_(real) {}

  Task<Result<>> write(store::Body body) override {
    Duration length = from_seconds(0.0005 + 0.002 * random_.unit());
    if (random_.chance(faults_.store_slow_chance))
      length = from_seconds(0.2 + 4.8 * random_.unit());
    const bool fails = random_.chance(faults_.store_failure_chance);
    // A caller that stops waiting still gets its write done, as with the real one.
    std::ignore = co_await clock_.sleep_for(length);
    if (fails) co_return Error::unavailable("database: disk full (simulated)");
    co_return co_await real_.write(std::move(body));
  }
  Task<Result<>> read(store::Body body) override { return real_.read(std::move(body)); }

 private:
  Clock& clock_;
  Random& random_;
  const Faults& faults_;
  store::Database& real_;
};

// Every write is an effect; one that was on its way at the kill is stored or not. What leads to one
// costs time of the process.
//
// Lifetime: all that the constructor gets outlives it.
class MortalDatabase final : public store::Database {
 public:
  MortalDatabase(store::Database& database, KillSwitch& kill, Random& random, SimCpu& cpu,
                 Duration cost)
      : database_(database), kill_(kill), random_(random), cpu_(cpu), cost_(cost) {}

  // Called where a write begins, and where one has failed; null: not.
  void set_watch(std::function<void()> begins, std::function<void()> failed) {
    begins_ = std::move(begins);
    failed_ = std::move(failed);
  }

  Task<Result<>> write(store::Body body) override {
    if (begins_) begins_();
    cpu_.spend(cost_);
    // A call that was begun is finished.
    std::ignore = co_await cpu_.free();
    CO_TRY_DO(co_await kill_.pass_or_hang());
    store::Body if_stored = [this, body = std::move(body)](store::Transaction& tx) -> Result<> {
      if (kill_.dead() && random_.chance(0.5)) return Error::unavailable("killed");
      return body(tx);
    };
    const Result<> stored = co_await database_.write(std::move(if_stored));
    if (!stored && failed_) failed_();
    std::ignore = co_await cpu_.free();
    co_return stored;
  }
  Task<Result<>> read(store::Body body) override { return database_.read(std::move(body)); }

 private:
  store::Database& database_;
  KillSwitch& kill_;
  Random& random_;
  SimCpu& cpu_;
  const Duration cost_;
  std::function<void()> begins_;
  std::function<void()> failed_;
};

}  // namespace mesclun::sim
