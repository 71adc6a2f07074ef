#include "base/test_loop.h"
#include "link/session.h"
#include "link/ticket.h"

namespace mesclun::link {
namespace {

TEST(Messages, RoundTripKeepsTheTypeAndTheMembers) {
  Desired desired{.revision = 7};
  Assignment& assignment = desired.assignments.emplace_back();
  assignment.allocation_id = "a";
  assignment.spec["name"] = "ocr";
  assignment.wish.run_action = RunAction::Restart;
  const auto decoded = decode(encode(desired));
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto* back = std::get_if<Desired>(&*decoded);
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->revision, 7);
  ASSERT_EQ(back->assignments.size(), 1u);
  EXPECT_EQ(back->assignments[0].spec, assignment.spec);
  EXPECT_EQ(back->assignments[0].wish.run_action, RunAction::Restart);
}

TEST(Messages, NonsenseIsAnInvalidArgument) {
  for (const char* text : {"", "[]", "{}", R"({"type":1})", R"({"type":"dance"})",
                           R"({"type":"desired","revision":"seven"})"}) {
    const auto decoded = decode(text);
    ASSERT_FALSE(decoded) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::InvalidArgument) << text;
  }
}

Task<Result<>> talk(VirtualLoop& loop) {
  auto [a_conn, b_conn] = memory_conn_pair(loop.executor(), loop.clock);
  const SessionPtr a = make_conn_session(std::move(a_conn), loop.executor(), loop.clock);
  const SessionPtr b = make_conn_session(std::move(b_conn), loop.executor(), loop.clock);
  Scope scope(loop.executor(), "pumps");
  scope.spawn(a->pump());
  for (int64_t i = 0; i < 100; ++i) {
    const Message beat = Heartbeat{.time = i};
    CO_TRY_DO(a->send(beat));
  }
  for (int64_t i = 0; i < 100; ++i) {
    CO_TRY(const Message message, co_await b->receive());
    EXPECT_EQ(std::get<Heartbeat>(message).time, i);
  }
  a->close();
  const auto after = co_await b->receive();
  EXPECT_EQ(after.code(), ErrorCode::Unavailable);
  co_await scope.stop();
  co_return Result<>();
}

TEST(Session, CarriesMessagesInOrderUntilClosed) {
  VirtualLoop loop;
  loop.run(talk(loop));
}

Task<Result<>> overflow(VirtualLoop& loop) {
  auto [a_conn, b_conn] = memory_conn_pair(loop.executor(), loop.clock);
  const SessionPtr a = make_conn_session(std::move(a_conn), loop.executor(), loop.clock);
  Result<> sent;
  int count = 0;
  while (sent && count < 1000) {
    const Message beat = Heartbeat{};
    sent = a->send(beat);
    ++count;
  }
  EXPECT_EQ(sent.code(), ErrorCode::ResourceExhausted);
  EXPECT_LT(count, 300);
  co_return Result<>();
}

TEST(Session, APeerThatDoesNotReadEndsIt) {
  VirtualLoop loop;
  loop.run(overflow(loop));
}

Task<Result<>> huge_frame(VirtualLoop& loop) {
  auto [a_conn, b_conn] = memory_conn_pair(loop.executor(), loop.clock);
  const SessionPtr b = make_conn_session(std::move(b_conn), loop.executor(), loop.clock);
  CO_TRY_DO(co_await a_conn->write(std::string_view("\xff\xff\xff\xff", 4)));
  const auto message = co_await b->receive();
  EXPECT_EQ(message.code(), ErrorCode::InvalidArgument);
  co_return Result<>();
}

TEST(Session, AFrameOverTheLimitIsRefusedUnread) {
  VirtualLoop loop;
  loop.run(huge_frame(loop));
}

// A frame in pieces, with a reader that runs out of time, or is cancelled, after each of them.
Task<Result<>> in_pieces(VirtualLoop& loop) {
  auto [a_conn, b_conn] = memory_conn_pair(loop.executor(), loop.clock);
  const SessionPtr b = make_conn_session(std::move(b_conn), loop.executor(), loop.clock);
  const std::string text = encode(Heartbeat{.time = 5});
  std::string frame(3, '\0');
  frame += static_cast<char>(text.size());
  frame += text;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i + 1 < frame.size(); ++i) {
      CO_TRY_DO(co_await a_conn->write(frame.substr(i, 1)));
      const auto early = co_await b->receive_within(1s);
      EXPECT_EQ(early.code(), ErrorCode::DeadlineExceeded) << i;
    }
    CO_TRY_DO(co_await a_conn->write(frame.substr(frame.size() - 1)));
    CO_TRY(const Message message, co_await b->receive());
    EXPECT_EQ(std::get<Heartbeat>(message).time, 5);
  }
  co_return Result<>();
}

TEST(Session, AReaderOutOfTimeLosesNothingOfAFrame) {
  VirtualLoop loop;
  loop.run(in_pieces(loop));
}

Task<Result<>> delayed(VirtualLoop& loop) {
  const Fate slow = [] { return std::optional<Duration>(2s); };
  auto [a, b] = memory_session_pair(loop.executor(), loop.clock, slow);
  const TimePoint start = loop.clock.now();
  const Message beat = Heartbeat{.time = 5};
  CO_TRY_DO(a->send(beat));
  CO_TRY(const Message message, co_await b->receive());
  EXPECT_EQ(std::get<Heartbeat>(message).time, 5);
  EXPECT_EQ(loop.clock.now() - start, 2s);
  co_return Result<>();
}

TEST(Session, InMemoryMessagesTakeTheirTime) {
  VirtualLoop loop;
  loop.run(delayed(loop));
}

TEST(Ticket, IsOnlyGoodUnforgedAndInTime) {
  const std::string ticket = make_tunnel_ticket("secret", "machine-1", 1000);
  EXPECT_EQ(check_tunnel_ticket("secret", ticket, 999).value(), "machine-1");
  EXPECT_FALSE(check_tunnel_ticket("secret", ticket, 1000));
  EXPECT_FALSE(check_tunnel_ticket("other", ticket, 999));
  EXPECT_FALSE(check_tunnel_ticket("", ticket, 999));
  std::string forged = ticket;
  forged.replace(0, 9, "machine-2");
  EXPECT_FALSE(check_tunnel_ticket("secret", forged, 999));
  for (const char* text : {"", "|", "||", "a|b|c"}) {
    EXPECT_EQ(check_tunnel_ticket("secret", text, 1).code(), ErrorCode::Unauthenticated);
  }
}

}  // namespace
}  // namespace mesclun::link
