// The driver as a process sees it that may be killed.
#pragma once

#include "base/kill_switch.h"
#include "runtime/driver.h"

namespace mesclun::runtime {

// Orders are effects. Questions are none: what a dead process learns goes nowhere.
//
// Lifetime: driver and switch outlive it.
class MortalDriver final : public ContainerDriver {
 public:
  MortalDriver(ContainerDriver& driver, KillSwitch& kill) : driver_(driver), kill_(kill) {}

  // Others use it.
  Task<void> close() override { co_return; }
  DriverFacts facts() const override { return driver_.facts(); }
  Task<Result<std::vector<RunInfo>>> list() override { return driver_.list(); }
  Task<Result<>> check() override { return driver_.check(); }
  Task<Result<>> create(RunSpec spec) override {
    CO_TRY_DO(co_await kill_.pass_or_hang());
    co_return co_await driver_.create(std::move(spec));
  }
  Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) override {
    return driver_.metadata_listener(instance_id);
  }
  Task<Result<>> start(std::string instance_id) override {
    CO_TRY_DO(co_await kill_.pass_or_hang());
    co_return co_await driver_.start(std::move(instance_id));
  }
  Task<Result<>> set_limits(std::string instance_id, RunLimits limits) override {
    CO_TRY_DO(co_await kill_.pass_or_hang());
    co_return co_await driver_.set_limits(std::move(instance_id), limits);
  }
  Result<> set_image_caching(const std::string& instance_id, bool caching) override {
    return driver_.set_image_caching(instance_id, caching);
  }
  Task<Result<RunExit>> wait(std::string instance_id) override {
    return driver_.wait(std::move(instance_id));
  }
  Task<Result<DiskExcess>> disk_excess(std::string instance_id) override {
    return driver_.disk_excess(std::move(instance_id));
  }
  Task<Result<>> stop(std::string instance_id, Duration grace) override {
    CO_TRY_DO(co_await kill_.pass_or_hang());
    co_return co_await driver_.stop(std::move(instance_id), grace);
  }
  Task<Result<>> remove(std::string instance_id) override {
    CO_TRY_DO(co_await kill_.pass_or_hang());
    co_return co_await driver_.remove(std::move(instance_id));
  }
  Task<Result<ConnPtr>> connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                Duration limit) override {
    return driver_.connect(std::move(instance_id), port, ipv6_first, limit);
  }
  Task<Result<int32_t>> exec(std::string instance_id, std::vector<std::string> command,
                             Duration limit) override {
    return driver_.exec(std::move(instance_id), std::move(command), limit);
  }
  Task<Result<std::unique_ptr<ExecStream>>> open_exec(std::string instance_id,
                                                      ExecSpec spec) override {
    return driver_.open_exec(std::move(instance_id), std::move(spec));
  }
  Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id, size_t lines_max) override {
    return driver_.read_log(std::move(instance_id), lines_max);
  }

 private:
  ContainerDriver& driver_;
  KillSwitch& kill_;
};

}  // namespace mesclun::runtime
