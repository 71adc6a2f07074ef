// What a kill takes with it and what it leaves.
#include <gtest/gtest.h>

#include <set>

#include "agent/mortal_store.h"
#include "base/test_loop.h"
#include "cloud/schema.h"
#include "sim/mortal_session.h"
#include "sim/sim_database.h"
#include "sim/sim_disk.h"

namespace mesclun::sim {
namespace {

agent::AllocationRecord record_of(const std::string& id, int32_t run) {
  agent::AllocationRecord record;
  record.assignment.allocation_id = id;
  record.status.run = run;
  return record;
}

int32_t run_of(SimDisk& disk, const std::string& id) {
  for (const agent::AllocationRecord& record : disk.load().value().allocations) {
    if (record.assignment.allocation_id == id) return record.status.run;
  }
  return 0;
}

Task<Result<>> ask(store::Database& database, store::Body body, bool& answered) {
  answered = (co_await database.write(std::move(body))).has_value();
  co_return Result<>();
}

Task<Result<>> listen(link::Session& session, ErrorCode& heard) {
  const Result<link::Message> message = co_await session.receive_within(1s);
  heard = message ? ErrorCode::Internal : message.code();
  co_return Result<>();
}

class Killed : public testing::Test {
 protected:
  VirtualLoop loop;
  KillSwitch kill{loop.executor()};
};

TEST_F(Killed, NothingPassesFromTheFatalEffectOn) {
  kill.arm(3);
  EXPECT_TRUE(kill.pass());
  EXPECT_TRUE(kill.pass());
  EXPECT_FALSE(kill.dead());
  EXPECT_FALSE(kill.pass());
  EXPECT_TRUE(kill.dead());
  EXPECT_FALSE(kill.pass());
  kill.arm(0);
  EXPECT_TRUE(kill.pass());
}

TEST_F(Killed, WhatIsStoredOfAnAgentStays) {
  SimDisk disk(loop.clock);
  agent::MortalStore store(disk, kill);
  kill.arm(2);
  EXPECT_TRUE(store.save_allocation(record_of("a", 1), Durability::ProcessCrash));
  EXPECT_FALSE(store.save_allocation(record_of("a", 2), Durability::ProcessCrash));
  EXPECT_FALSE(store.erase_allocation("a"));
  EXPECT_EQ(run_of(disk, "a"), 1);
}

// Goal: a power loss takes any of the latest writes, but none that was flushed. Method: many dice.
TEST_F(Killed, PowerTakesOnlyWhatWasNotFlushed) {
  std::set<int32_t> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SeededRandom random(seed);
    SimDisk disk(loop.clock);
    ASSERT_TRUE(disk.save_allocation(record_of("a", 1), Durability::ProcessCrash));
    ASSERT_TRUE(disk.save_allocation(record_of("a", 2), Durability::PowerLoss));
    ASSERT_TRUE(disk.save_allocation(record_of("a", 3), Durability::ProcessCrash));
    ASSERT_TRUE(disk.erase_allocation("a"));
    ASSERT_TRUE(disk.save_allocation(record_of("b", 4), Durability::ProcessCrash));
    loop.clock.run_for(31s);
    disk.lose_power(random);
    EXPECT_EQ(run_of(disk, "a"), 0);
    EXPECT_EQ(run_of(disk, "b"), 4);
    ASSERT_TRUE(disk.save_allocation(record_of("a", 5), Durability::PowerLoss));
    ASSERT_TRUE(disk.save_allocation(record_of("a", 6), Durability::ProcessCrash));
    ASSERT_TRUE(disk.erase_allocation("a"));
    disk.lose_power(random);
    seen.insert(run_of(disk, "a"));
  }
  EXPECT_EQ(seen, (std::set<int32_t>{0, 5, 6}));
}

class KilledPeer : public Killed {
 protected:
  KilledPeer() {
    auto [a, b] = link::memory_session_pair(loop.executor(), loop.clock);
    mortal = std::make_unique<MortalSession>(std::move(a), kill, kernel);
    peer = std::move(b);
  }
  // Internal: a message.
  ErrorCode heard() {
    auto code = ErrorCode::Internal;
    loop.run(listen(*peer, code));
    return code;
  }

  Kernel kernel;
  std::unique_ptr<MortalSession> mortal;
  link::SessionPtr peer;
};

TEST_F(KilledPeer, SaysNothingMoreAndItsKernelHangsUp) {
  ASSERT_TRUE(mortal->send(link::Heartbeat{}));
  EXPECT_EQ(heard(), ErrorCode::Internal);
  kill.arm(1);
  EXPECT_FALSE(mortal->send(link::Heartbeat{}));
  EXPECT_EQ(heard(), ErrorCode::Unavailable);
}

TEST_F(KilledPeer, WithoutPowerIsSilentUntilItIsOnAgain) {
  kernel.set_power(false);
  kill.kill();
  EXPECT_EQ(heard(), ErrorCode::DeadlineExceeded);
  mortal.reset();
  EXPECT_EQ(heard(), ErrorCode::DeadlineExceeded);
  kernel.set_power(true);
  EXPECT_EQ(heard(), ErrorCode::Unavailable);
}

// Goal: a commit that is on its way at the kill is there afterwards or not, and nobody is answered.
TEST_F(Killed, ACommitOnItsWayIsStoredOrNot) {
  std::set<bool> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SeededRandom random(seed);
    const Faults faults = Faults::none();
    const auto real = store::open_sqlite({}, cloud::cloud_migrations()).value();
    SimDatabase slow(loop.clock, random, faults, *real);
    SimCpu cpu(loop.clock);
    MortalDatabase mortal(slow, kill, random, cpu, Duration());
    kill.arm(0);
    store::Body insert = [](store::Transaction& tx) -> Result<> {
      TRY_DO(tx.execute("INSERT INTO gateway (name, endpoint) VALUES ('g', 'e')"));
      return {};
    };
    bool answered = false;
    Scope scope(loop.executor(), "writer");
    scope.spawn(ask(mortal, std::move(insert), answered));
    loop.clock.run_ready();
    kill.kill();
    loop.clock.run_for(1s);
    bool stored = false;
    store::Body look = [&stored](store::Transaction& tx) -> Result<> {
      TRY(const auto rows, tx.query("SELECT name FROM gateway"));
      stored = !rows.empty();
      return {};
    };
    loop.run(real->read(std::move(look)));
    seen.insert(stored);
  }
  EXPECT_EQ(seen, (std::set<bool>{false, true}));
}

}  // namespace
}  // namespace mesclun::sim
