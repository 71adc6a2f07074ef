#include "sim/sim_cloud.h"

#include "base/race.h"

namespace mesclun::sim {

struct SimCloud::Life {
  explicit Life(SimCloud& owner, const Parts& parts)
      : kill(parts.executor),
        off(kill.on_kill([&owner] { owner.on_kill(); })),
        cpu(parts.clock),
        database(parts.database, kill, parts.random, cpu, parts.turn_cost),
        log_database(parts.log_database, kill, parts.random, cpu, Duration()),
        cloud(parts.executor, cpu, parts.random, database, log_database, parts.settings) {
    database.set_watch(parts.write_begins, parts.write_failed);
  }

  KillSwitch kill;
  std::shared_ptr<void> off;
  bool machine_too = false;
  SimCpu cpu;
  MortalDatabase database;
  MortalDatabase log_database;
  cloud::Cloud cloud;
  bool up = false;
};

SimCloud::SimCloud(Parts parts) : parts_(std::move(parts)) {}
SimCloud::~SimCloud() = default;

cloud::Cloud* SimCloud::running() {
  return life_ != nullptr && life_->up && !life_->kill.dead() ? &life_->cloud : nullptr;
}

Task<Result<>> SimCloud::start() {
  if (running() != nullptr) {
    life_->kill.arm(0);
    co_return Result<>();
  }
  while (true) {
    co_await bury();
    kernel_.set_power(true);
    parts_.network.set_cloud_power(true);
    if (co_await start_once()) co_return Result<>();
    CO_TRY_DO(co_await parts_.clock.sleep_for(1s));
  }
}

Task<Result<>> SimCloud::start_once() {
  life_ = std::make_shared<Life>(*this, parts_);
  const TimePoint begin = parts_.clock.now();
  std::optional<Result<>> started;
  co_await life_->kill.run(detail::store_result(life_->cloud.start(), started));
  if (!started || life_->kill.dead()) co_return Error::unavailable("killed");
  CO_TRY_DO(*started);
  life_->up = true;
  if (parts_.started) parts_.started(life_->cloud, begin);
  const auto mortal = [life = life_.get(), this](link::SessionPtr session) {
    return std::make_unique<MortalSession>(std::move(session), life->kill, kernel_, &life->cpu);
  };
  cloud::Cloud& cloud = life_->cloud;
  parts_.network.set_cloud(
      [mortal, &cloud](link::SessionPtr session) { cloud.serve_agent(mortal(std::move(session))); },
      [mortal, &cloud](link::SessionPtr session) {
        cloud.serve_gateway(mortal(std::move(session)));
      });
  co_return Result<>();
}

// What is left of it.
Task<void> SimCloud::bury() {
  parts_.network.set_cloud({}, {});
  if (!life_) co_return;
  co_await life_->cloud.stop();
  // Callers may still wait in it.
  life_->kill.kill();
  life_.reset();
}

Task<void> SimCloud::stop() {
  if (life_) life_->up = false;
  co_await bury();
}

void SimCloud::kill(bool machine_too) {
  if (!life_) return;
  life_->machine_too = machine_too;
  life_->kill.kill();
}

void SimCloud::kill_before(uint64_t effect, bool machine_too) {
  if (!life_ || life_->kill.dead()) return;
  life_->machine_too = machine_too;
  life_->kill.arm(effect);
}

// Before anybody else hears of it.
void SimCloud::on_kill() {
  parts_.network.set_cloud({}, {});
  parts_.network.set_cloud_power(!life_->machine_too);
  kernel_.set_power(!life_->machine_too);
}

void SimCloud::stall(Duration length) {
  if (life_) life_->cpu.spend(length);
}

Task<Result<>> SimCloud::wait_killed(TimePoint when) {
  if (life_) co_return co_await life_->kill.wait_until(parts_.clock, when);
  co_return Result<>();
}

Task<Result<>> SimCloud::call(Life& life, cloud::FleetLoop::Command command) {
  CO_TRY_DO(co_await life.cpu.free());
  co_return co_await life.cloud.fleet_loop().submit(std::move(command));
}

Task<Result<>> SimCloud::submit(cloud::FleetLoop::Command command) {
  if (running() == nullptr) co_return Error::unavailable("connection refused");
  const std::shared_ptr<Life> life = life_;
  std::optional<Result<>> answer;
  const bool answered =
      co_await life->kill.run(detail::store_result(call(*life, std::move(command)), answer));
  if (co_await cancel_requested()) co_return Error::cancelled();
  // An answer is an effect, too.
  if (!answered || !answer || !life->kill.pass()) co_return Error::unavailable("connection reset");
  co_return *std::move(answer);
}

}  // namespace mesclun::sim
