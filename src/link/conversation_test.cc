#include "link/conversation.h"

#include <gtest/gtest.h>

#include "base/race.h"
#include "base/test_loop.h"

namespace mesclun::link {
namespace {

constexpr Duration kHour = 1h;

// Both ends of one session over frames, and what is run on it.
struct World {
  VirtualLoop loop;
  SessionPtr dialler;
  SessionPtr answerer;
  Result<> dialler_ended;
  Result<> answerer_ended;
  Duration dialler_took{};
  Duration answerer_took{};

  World() {
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
    dialler = make_conn_session(std::move(a), loop.executor(), loop.clock);
    answerer = make_conn_session(std::move(b), loop.executor(), loop.clock);
  }
  void run(Task<Result<>> dialler_body, Task<Result<>> answerer_body) {
    Scope scope(loop.executor(), "conversation");
    const TimePoint start = loop.clock.now();
    scope.spawn(keep(converse(*dialler, std::move(dialler_body)), dialler_ended, dialler_took));
    scope.spawn(keep(answer(*answerer, loop.clock, std::move(answerer_body)), answerer_ended,
                     answerer_took));
    EXPECT_TRUE(loop.clock.run_while_not([&] { return scope.running() == 0; }, kHour));
    dialler_took -= start.time_since_epoch();
    answerer_took -= start.time_since_epoch();
  }

 private:
  Task<Result<>> keep(Task<Result<>> task, Result<>& ended, Duration& took) {
    ended = co_await std::move(task);
    took = loop.clock.now().time_since_epoch();
    co_return Result<>();
  }
};

Task<Result<>> hear_on(Session& session, Duration silence_max, int& heard) {
  while (true) {
    CO_TRY(const Message message, co_await hear(session, silence_max));
    ++heard;
  }
}

Task<Result<>> let_nobody_in(Session& session) {
  CO_TRY(const Hello hello,
         co_await hear_first<Hello>(session, Error::invalid("hello comes first")));
  co_return Error{ErrorCode::Unauthenticated, "no machine called " + hello.machine_id};
}

Task<Result<>> say_hello(Session& session) {
  CO_TRY_DO(session.send(Hello{.machine_id = "m1"}));
  CO_TRY(const Welcome welcome, co_await hear_first<Welcome>(session, Error::internal("?")));
  co_return Result<>();
}

TEST(Conversation, WhoIsNotLetInIsToldWhy) {
  World world;
  world.run(say_hello(*world.dialler), let_nobody_in(*world.answerer));
  EXPECT_EQ(world.dialler_ended.code(), ErrorCode::Unauthenticated);
  EXPECT_EQ(world.dialler_ended.error().message, "no machine called m1");
  EXPECT_EQ(world.answerer_ended.code(), ErrorCode::Unauthenticated);
}

Task<Result<>> say_a_heartbeat(Session& session, int& heard) {
  CO_TRY_DO(session.send(Heartbeat{}));
  co_return co_await hear_on(session, kHour, heard);
}

TEST(Conversation, OtherFirstWordsThanHelloAreRefused) {
  World world;
  int heard = 0;
  world.run(say_a_heartbeat(*world.dialler, heard), let_nobody_in(*world.answerer));
  EXPECT_EQ(world.dialler_ended.code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(world.dialler_ended.error().message, "hello comes first");
  EXPECT_EQ(heard, 0);
}

Task<Result<>> leave(Session& session) {
  CO_TRY_DO(session.send(Hello{}));
  co_return Error::unavailable("gone");
}

// Goal: a session that broke is given up at once, not after the time that a Goodbye takes.
TEST(Conversation, NobodySaysGoodbyeToABrokenSession) {
  World world;
  int heard = 0;
  world.run(leave(*world.dialler), hear_on(*world.answerer, kHour, heard));
  EXPECT_EQ(world.answerer_ended.code(), ErrorCode::Unavailable);
  EXPECT_EQ(world.answerer_took, Duration{});
}

Task<Result<>> say_nothing(Session& session, int& heard) {
  return hear_on(session, kHour, heard);
}

TEST(Conversation, SilenceEndsItAndBothKnowWhy) {
  World world;
  int by_dialler = 0;
  int by_answerer = 0;
  world.run(say_nothing(*world.dialler, by_dialler), hear_on(*world.answerer, 20s, by_answerer));
  EXPECT_EQ(world.answerer_ended.error().message, "nothing was heard for 20 s");
  EXPECT_EQ(world.dialler_ended.error().message, "nothing was heard for 20 s");
  EXPECT_EQ(world.dialler_took, 20s);
}

Task<Result<>> beat_for(Session& session, Clock& clock, Duration length, int& beats) {
  co_return co_await within(clock, length, beat(session, clock, 5s, [&beats] { ++beats; }));
}

TEST(Conversation, HeartbeatsAreEnough) {
  World world;
  int beats = 0;
  int heard = 0;
  world.run(beat_for(*world.dialler, world.loop.clock, 101s, beats),
            hear_on(*world.answerer, 6s, heard));
  EXPECT_EQ(beats, 20);
  EXPECT_EQ(heard, 20);
  EXPECT_EQ(world.answerer_took, 101s) << "the end of the session, not silence";
}

Task<Result<>> hear_slowly(Session& session, Clock& clock, int& heard) {
  while (true) {
    CO_TRY(const Message message, co_await hear(session, 6s));
    ++heard;
    CO_TRY_DO(co_await clock.sleep_for(30s));
  }
}

// Goal: what the listener does with a message is not the peer's silence.
TEST(Conversation, SilenceIsTimeInWhichSomebodyListened) {
  World world;
  int beats = 0;
  int heard = 0;
  world.run(beat_for(*world.dialler, world.loop.clock, 61s, beats),
            hear_slowly(*world.answerer, world.loop.clock, heard));
  EXPECT_EQ(beats, 12);
  EXPECT_GE(heard, 2);
  EXPECT_NE(world.answerer_ended.error().message, "nothing was heard for 6 s");
}

// A session on a loop that stood still: waits run out at once, then what had queued up is there.
class StalledSession final : public Session {
 public:
  explicit StalledSession(int stalls) : stalls_(stalls) {}
  Task<Result<Message>> receive() override { co_return Heartbeat{}; }
  Task<Result<Message>> receive_within(Duration limit) override {
    listened += limit;
    if (stalls_-- > 0) co_return Error::deadline("timed out");
    co_return Heartbeat{};
  }
  Result<> send(const Message&) override { return {}; }
  Task<Result<>> wait_for_room() override { co_return Result<>(); }
  Task<Result<>> wait_until_below(size_t) override { co_return Result<>(); }
  bool has_room() const override { return true; }
  void let_in() override {}
  Task<Result<>> pump() override { co_return Result<>(); }
  void close() override {}
  std::string peer_address() const override { return "stalled"; }
  Duration listened{};

 private:
  int stalls_;
};

Task<Result<>> hear_after(Session& session, Result<Message>& heard) {
  heard = co_await hear(session, 20s);
  co_return Result<>();
}

TEST(Conversation, AStallOfOursIsNotThePeersSilence) {
  for (int stalls : {0, 1, 2}) {
    VirtualLoop loop;
    StalledSession session(stalls);
    Result<Message> heard = Error::internal("?");
    loop.run(hear_after(session, heard));
    EXPECT_EQ(heard.has_value(), stalls < 2) << stalls;
    EXPECT_LE(session.listened, 20s);
  }
}

Task<Result<>> say_goodbye(Session& session, Clock& clock, std::string code) {
  CO_TRY_DO(session.send(Goodbye{.code = std::move(code), .reason = "because"}));
  co_return co_await clock.sleep_for(1s);
}

TEST(Conversation, AGoodbyeIsItsErrorButNeverACancellation) {
  const std::pair<const char*, ErrorCode> kCases[] = {
      {"permission_denied", ErrorCode::PermissionDenied},
      {"cancelled", ErrorCode::Unavailable},
      {"a reason of a later version", ErrorCode::Unavailable},
  };
  for (const auto& [said, understood] : kCases) {
    World world;
    int heard = 0;
    world.run(hear_on(*world.dialler, kHour, heard),
              say_goodbye(*world.answerer, world.loop.clock, said));
    EXPECT_EQ(world.dialler_ended.code(), understood) << said;
    EXPECT_EQ(world.dialler_ended.error().message, "because");
  }
}

TEST(Conversation, TheEndThatDialsGivesUpFirst) {
  EXPECT_LT(silence_of_answerer(5s), silence_of_dialler(5s));
}

}  // namespace
}  // namespace mesclun::link
