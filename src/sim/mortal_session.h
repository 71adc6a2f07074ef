// Sessions as a process has them that may be killed.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/kill_switch.h"
#include "link/session.h"
#include "sim/sim_cpu.h"

namespace mesclun::sim {

// A machine's kernel, which has the connections of its processes: it outlives them, not the power.
//
// Runs on: one loop.
class Kernel {
 public:
  // While it is off nobody closes what a killed process leaves: peers hear nothing.
  void set_power(bool on) {
    on_ = on;
    if (on_) close_left();
  }
  // Of a process that was killed.
  void leave(std::shared_ptr<link::Session> session) {
    left_.push_back(std::move(session));
    if (on_) close_left();
  }

 private:
  void close_left() {
    for (const auto& session : std::exchange(left_, {})) session->close();
  }

  bool on_ = true;
  std::vector<std::shared_ptr<link::Session>> left_;
};

// Every message that is said is an effect. Of one that was heard nothing comes before the process
// has time for it.
//
// Lifetime: kernel, switch and core, if there is one, outlive it.
class MortalSession final : public link::Session {
 public:
  MortalSession(link::SessionPtr session, KillSwitch& kill, Kernel& kernel, SimCpu* cpu = nullptr)
      : session_(std::move(session)),
        kill_(kill),
        cpu_(cpu),
        on_kill_(kill.on_kill([this, &kernel] { kernel.leave(session_); })) {}

  Task<Result<link::Message>> receive() override {
    Result<link::Message> message = co_await session_->receive();
    if (cpu_ != nullptr) std::ignore = co_await cpu_->free();
    co_return heard(std::move(message));
  }
  Task<Result<link::Message>> receive_within(Duration limit) override {
    Result<link::Message> message = co_await session_->receive_within(limit);
    if (cpu_ != nullptr) std::ignore = co_await cpu_->free();
    co_return heard(std::move(message));
  }
  Result<> send(const link::Message& message) override {
    return kill_.pass() ? session_->send(message) : killed();
  }
  Task<Result<>> wait_for_room() override { return session_->wait_for_room(); }
  Task<Result<>> wait_until_below(size_t bytes) override {
    return session_->wait_until_below(bytes);
  }
  bool has_room() const override { return session_->has_room(); }
  void let_in() override { session_->let_in(); }
  Task<Result<>> pump() override { return session_->pump(); }
  void close() override {
    if (!kill_.dead()) session_->close();
  }
  std::string peer_address() const override { return session_->peer_address(); }

 private:
  static Error killed() { return Error::unavailable("killed"); }
  Result<link::Message> heard(Result<link::Message> message) const {
    if (kill_.dead()) return killed();
    return message;
  }

  const std::shared_ptr<link::Session> session_;
  KillSwitch& kill_;
  SimCpu* const cpu_;
  const std::shared_ptr<void> on_kill_;
};

}  // namespace mesclun::sim
