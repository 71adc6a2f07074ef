#include "http/pool.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

class FakeConn final : public Conn {
 public:
  explicit FakeConn(int n) : number(n) {}
  Task<Result<size_t>> read_some(asio::mutable_buffer) override { co_return size_t{0}; }
  Task<Result<>> write(std::span<const asio::const_buffer>) override { co_return Result<>(); }
  void set_deadline(TimePoint when) override { deadline = when; }
  void shutdown_write() override {}
  void close() override {}
  std::string peer_address() const override { return "fake"; }
  bool is_clean() const override { return clean; }

  int number;
  bool clean = true;
  TimePoint deadline{};
};

using Pool = IdlePool<FakeConn>;
constexpr PoolLimits kLimits{.idle_max = 3, .idle_for = 4s, .idle_for_unrepeatable = 1s};
constexpr TimePoint kStart{};

std::unique_ptr<FakeConn> conn(int number) {
  return std::make_unique<FakeConn>(number);
}

TEST(IdlePool, GivesTheOneUsedLast) {
  Pool pool;
  EXPECT_EQ(pool.take(kLimits, kStart), nullptr);
  pool.put(kLimits, kStart, conn(1));
  pool.put(kLimits, kStart, conn(2));
  const auto taken = pool.take(kLimits, kStart);
  EXPECT_EQ(taken->number, 2);
  EXPECT_EQ(taken->deadline, TimePoint::max()) << "the last request's must not end it";
  EXPECT_EQ(pool.size(), 1u);
}

TEST(IdlePool, KeepsNoMoreThanItsBoundAndNothingThatEnded) {
  Pool pool;
  for (int i = 0; i < 5; ++i) pool.put(kLimits, kStart, conn(i));
  EXPECT_EQ(pool.size(), 3u);
  pool.clear();
  auto ended = conn(1);
  ended->clean = false;
  pool.put(kLimits, kStart, std::move(ended));
  EXPECT_EQ(pool.size(), 0u);
}

TEST(IdlePool, PassesOverThoseThatEndedWhileTheyRested) {
  Pool pool;
  pool.put(kLimits, kStart, conn(1));
  auto ends = conn(2);
  FakeConn& ending = *ends;
  pool.put(kLimits, kStart, std::move(ends));
  ending.clean = false;
  EXPECT_EQ(pool.take(kLimits, kStart)->number, 1);
  EXPECT_EQ(pool.size(), 0u);
}

TEST(IdlePool, WhatMayNotBeRepeatedTakesFreshOnesOnly) {
  Pool pool;
  pool.put(kLimits, kStart, conn(1));
  EXPECT_EQ(pool.take(kLimits, kStart + 1s, false), nullptr);
  EXPECT_EQ(pool.size(), 1u) << "it stays for others";
  EXPECT_EQ(pool.take(kLimits, kStart + 999ms, false)->number, 1);
}

TEST(IdlePool, ForgetsThoseThatRestedTooLong) {
  Pool pool;
  pool.put(kLimits, kStart, conn(1));
  pool.put(kLimits, kStart + 3s, conn(2));
  pool.drop_stale(kLimits, kStart + 5s);
  EXPECT_EQ(pool.size(), 1u);
  EXPECT_EQ(pool.take(kLimits, kStart + 8s), nullptr);
}

TEST(IdlePool, MayKeepForEver) {
  Pool pool;
  pool.put(kKeepAlways, kStart, conn(1));
  pool.drop_stale(kKeepAlways, kStart + 100'000h);
  EXPECT_NE(pool.take(kKeepAlways, kStart + 100'000h, false), nullptr);
}

}  // namespace
}  // namespace mesclun
