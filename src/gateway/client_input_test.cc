// What a client sends while its request is under way.
#include "gateway/client_input.h"

#include <optional>
#include <string>
#include <tuple>

#include "base/test_loop.h"

namespace mesclun::gateway {
namespace {

// A client at one end of a pipe, and its input at the other.
struct Pair {
  explicit Pair(VirtualLoop& test_loop) : loop(test_loop), scope(loop.executor(), "client input") {
    std::tie(client, ours) = memory_conn_pair(loop.executor(), loop.clock, 1024 * 1024);
    input.emplace(loop.executor(), *ours, loop.clock, 10s);
    scope.spawn(input->run());
  }
  ~Pair() {
    scope.cancel();
    EXPECT_TRUE(loop.clock.run_while_not([this] { return scope.running() == 0; }, 60s));
  }
  // Until all that can happen now has happened.
  Task<Result<>> settle() { co_return co_await loop.clock.sleep_for(1ms); }

  VirtualLoop& loop;
  ConnPtr client;
  ConnPtr ours;
  std::optional<ClientInput> input;
  Scope scope;
};

Task<Result<>> holds_still(Pair& pair) {
  ClientInput& input = *pair.input;
  CO_TRY_DO(co_await pair.client->write("first"));
  CO_TRY(const bool more, co_await input.fill());
  EXPECT_TRUE(more);
  const std::string_view first = input.bytes();
  input.use(3);
  CO_TRY_DO(co_await pair.client->write(std::string(30'000, 'x')));
  CO_TRY_DO(co_await pair.settle());
  EXPECT_EQ(first, "first") << "also what was used: somebody may still be sending it";
  EXPECT_EQ(input.bytes(), "st");
  EXPECT_TRUE(input.fill_now());
  EXPECT_EQ(input.bytes(), "st" + std::string(30'000, 'x'));
  EXPECT_FALSE(input.fill_now());
  co_return Result<>();
}

TEST(ClientInput, BytesHoldStillWhileMoreAreReadAhead) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(holds_still(pair));
}

Task<Result<>> bounded(Pair& pair) {
  ClientInput& input = *pair.input;
  const std::string all(1'000'000, 'x');
  CO_TRY_DO(co_await pair.client->write(all));
  pair.client->shutdown_write();
  size_t seen = 0;
  while (true) {
    CO_TRY_DO(co_await pair.settle());
    CO_TRY(const bool more, co_await input.fill());
    if (!more) break;
    EXPECT_LE(input.bytes().size(), ClientInput::kAheadMax + 32 * 1024);
    seen += input.bytes().size();
    input.use(input.bytes().size());
  }
  EXPECT_EQ(seen, all.size());
  EXPECT_TRUE(input.half_closed());
  EXPECT_FALSE(input.gone());
  co_return Result<>();
}

TEST(ClientInput, ReadsNoFurtherAheadThanItsBound) {
  VirtualLoop loop;
  Pair pair(loop);
  pair.input->bulk = true;
  loop.run(bounded(pair));
}

// A client that pipelines without end: there is always a part of its next request.
Task<Result<>> pipelines(Pair& pair, size_t total) {
  ClientInput& input = *pair.input;
  const std::string request(28'000, 'x');
  size_t used = 0;
  size_t sent = 0;
  while (used < total) {
    for (; sent < used + 400'000; sent += request.size()) {
      CO_TRY_DO(co_await pair.client->write(request));
    }
    CO_TRY_DO(co_await pair.settle());
    CO_TRY_DO(co_await input.fill());
    while (input.bytes().size() >= request.size()) {
      input.use(request.size());
      used += request.size();
      input.trim();
    }
    EXPECT_LE(input.held_bytes(), 6 * ClientInput::kAheadMax);
  }
  co_return Result<>();
}

TEST(ClientInput, APipeliningClientNeverMakesItGrow) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(pipelines(pair, 50'000'000));
}

Task<Result<>> lets_go(Pair& pair) {
  ClientInput& input = *pair.input;
  CO_TRY_DO(co_await pair.client->write("ahead"));
  CO_TRY_DO(co_await pair.settle());
  input.let_go();
  CO_TRY_DO(co_await pair.settle());
  EXPECT_FALSE(input.has_let_go()) << "there is something to be done";
  CO_TRY_DO(co_await input.fill());
  input.use(input.bytes().size());
  input.let_go();
  const Result<bool> more = co_await input.fill();
  EXPECT_FALSE(more);
  EXPECT_EQ(more ? ErrorCode::Internal : more.code(), ErrorCode::Cancelled);
  EXPECT_TRUE(input.has_let_go());
  EXPECT_FALSE(input.gone());
  co_return Result<>();
}

TEST(ClientInput, LetsGoOfASilentClient) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(lets_go(pair));
}

Task<Result<>> fill_until_told(ClientInput& input, std::optional<ErrorCode>& code) {
  const Result<bool> more = co_await input.fill();
  if (!more) code = more.code();
  co_return Result<>();
}

Task<Result<>> interrupted(Pair& pair) {
  std::optional<ErrorCode> code;
  pair.scope.spawn(fill_until_told(*pair.input, code));
  CO_TRY_DO(co_await pair.settle());
  pair.input->interrupt();
  CO_TRY_DO(co_await pair.settle());
  EXPECT_EQ(code, ErrorCode::Cancelled);
  CO_TRY_DO(co_await pair.client->write("next"));
  CO_TRY(const bool more, co_await pair.input->fill());
  EXPECT_TRUE(more) << "what comes afterwards is not lost";
  co_return Result<>();
}

TEST(ClientInput, AnInterruptEndsTheWaitOfOneTask) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(interrupted(pair));
}

Task<Result<>> leaves(Pair& pair) {
  int calls = 0;
  {
    const WhenGone over(*pair.input, [&calls] { calls += 100; });
  }
  const WhenGone count(*pair.input, [&calls] { ++calls; });
  CO_TRY_DO(co_await pair.settle());
  EXPECT_EQ(calls, 0);
  EXPECT_FALSE(pair.input->gone());
  pair.client->shutdown_write();
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(9s));
  EXPECT_FALSE(pair.input->gone()) << "it may wait for its answer";
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(2s));
  EXPECT_TRUE(pair.input->gone());
  EXPECT_EQ(calls, 2) << "only the one that lives, at both moments";
  co_return Result<>();
}

TEST(WhenGone, IsCalledWhenTheClientEndsItsSideAndWhenItHasGone) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(leaves(pair));
}

Task<Result<>> runs_late(Pair& pair) {
  bool called = false;
  const WhenGone call(*pair.input, [&called] { called = true; });
  pair.ours->set_deadline(pair.loop.clock.now() + 1s);
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(2s));
  EXPECT_TRUE(pair.input->ended());
  EXPECT_FALSE(pair.input->gone());
  EXPECT_FALSE(called);
  co_return Result<>();
}

Task<Result<>> breaks(Pair& pair) {
  int calls = 0;
  const WhenGone count(*pair.input, [&calls] { ++calls; });
  pair.client->abort();
  CO_TRY_DO(co_await pair.settle());
  EXPECT_TRUE(pair.input->gone());
  EXPECT_EQ(calls, 1);
  co_return Result<>();
}

TEST(WhenGone, AResetIsHeardAtOnce) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(breaks(pair));
}

TEST(WhenGone, ADeadlineOfOursIsNotTheClientsDoing) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(runs_late(pair));
}

// More than is read ahead, for an instance that takes nothing.
Task<Result<>> uploads_and(Pair& pair, bool leaves_at_once) {
  int calls = 0;
  const WhenGone count(*pair.input, [&calls] { ++calls; });
  CO_TRY_DO(co_await pair.client->write(std::string(200'000, 'x')));
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(5s));
  EXPECT_EQ(calls, 0);
  if (leaves_at_once) {
    pair.client->close();
    CO_TRY_DO(co_await pair.loop.clock.sleep_for(1s));
  } else {
    pair.client->shutdown_write();
    CO_TRY_DO(co_await pair.loop.clock.sleep_for(9s));
    EXPECT_EQ(calls, 0) << "it may wait for its answer";
    CO_TRY_DO(co_await pair.loop.clock.sleep_for(2s));
  }
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(pair.input->gone());
  EXPECT_FALSE(pair.input->half_closed());
  co_return Result<>();
}

TEST(ClientInput, AnUploaderThatIsGoneIsNoticedBehindWhatNobodyTakes) {
  for (const bool leaves_at_once : {true, false}) {
    VirtualLoop loop;
    Pair pair(loop);
    loop.run(uploads_and(pair, leaves_at_once));
  }
}

}  // namespace
}  // namespace mesclun::gateway
