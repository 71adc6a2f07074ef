#include "base/race.h"
#include "base/test_loop.h"
#include "link/parts.h"
#include "link/session.h"
#include "link/ticket.h"

namespace mesclun::link {
namespace {

TEST(Messages, RoundTripKeepsTheTypeAndTheMembers) {
  Desired desired{.revision = 7};
  Assignment& assignment = desired.assignments.emplace_back();
  assignment.allocation_id = "a";
  assignment.group_id = "g";
  assignment.wish.run_action = RunAction::Restart;
  const auto decoded = decode(encode(desired));
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto* back = std::get_if<Desired>(&*decoded);
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->revision, 7);
  ASSERT_EQ(back->assignments.size(), 1u);
  EXPECT_EQ(back->assignments[0].group_id, "g");
  EXPECT_TRUE(back->part.last);
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

// A stranger: announces as much as it may, sends a little, for ever so many connections.
Task<Result<>> announce_and_wait(VirtualLoop& loop) {
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
  FrameReader reader;
  std::string sent = {0, 0x3f, char(0xff), char(0xff)};  // 4 MiB less one
  sent += std::string(45, '{');
  CO_TRY_DO(co_await a->write(sent));
  const auto none = co_await within(loop.clock, 1s, reader.read(*b, kFrameBytesMax));
  EXPECT_EQ(none.code(), ErrorCode::DeadlineExceeded);
  EXPECT_LE(reader.bytes_held(), 2u * (4 + 45 + 16 * 1024)) << "twice what came, and a piece";
  CO_TRY_DO(co_await a->write(std::string(60'000, '{')));
  const auto more = co_await within(loop.clock, 1s, reader.read(*b, kFrameBytesMax));
  EXPECT_EQ(more.code(), ErrorCode::DeadlineExceeded);
  EXPECT_LE(reader.bytes_held(), 2u * 60'045 + 32 * 1024);
  co_return Result<>();
}

TEST(Session, MemoryIsTakenForWhatCameAndNotForWhatWasAnnounced) {
  VirtualLoop loop;
  loop.run(announce_and_wait(loop));
}

Message large_log(size_t bytes) {
  LogBatch batch{.group_id = "g"};
  batch.lines.push_back({.time = 1, .stream = "stdout", .text = std::string(bytes, 'x')});
  return batch;
}

Task<Result<>> known_at_last(VirtualLoop& loop, SessionPtr stranger, SessionPtr cloud) {
  Scope scope(loop.executor(), "pumps");
  scope.spawn(stranger->pump());
  CO_TRY_DO(stranger->send(large_log(kFirstFrameBytesMax / 2)));
  EXPECT_TRUE(co_await cloud->receive());
  cloud->let_in();
  CO_TRY_DO(stranger->send(large_log(kFirstFrameBytesMax + 1)));
  EXPECT_TRUE(co_await cloud->receive()) << "it is known now";
  co_await scope.stop();
  co_return Result<>();
}
Task<Result<>> never_known(VirtualLoop& loop, SessionPtr stranger, SessionPtr cloud) {
  Scope scope(loop.executor(), "pumps");
  scope.spawn(stranger->pump());
  CO_TRY_DO(stranger->send(large_log(kFirstFrameBytesMax + 1)));
  const auto refused = co_await cloud->receive();
  EXPECT_EQ(refused.code(), ErrorCode::InvalidArgument);
  EXPECT_FALSE(co_await cloud->receive()) << "it is closed";
  co_await scope.stop();
  co_return Result<>();
}

// Over bytes and in memory.
std::pair<SessionPtr, SessionPtr> stranger_and_cloud(VirtualLoop& loop, bool bytes) {
  const SessionLimits answering{.first_frame_bytes_max = kFirstFrameBytesMax};
  if (!bytes) return memory_session_pair(loop.executor(), loop.clock, {}, answering);
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
  return {make_conn_session(std::move(a), loop.executor(), loop.clock),
          make_conn_session(std::move(b), loop.executor(), loop.clock, answering)};
}

TEST(Session, FramesAreSmallUntilThePeerIsLetIn) {
  for (const bool bytes : {false, true}) {
    VirtualLoop loop;
    auto [stranger, cloud] = stranger_and_cloud(loop, bytes);
    loop.run(known_at_last(loop, std::move(stranger), std::move(cloud)));
    auto [stranger2, cloud2] = stranger_and_cloud(loop, bytes);
    loop.run(never_known(loop, std::move(stranger2), std::move(cloud2)));
  }
}

TEST(Session, AMessageThatFitsNoFrameIsNamedAndTheSessionGoesOn) {
  for (const bool bytes : {false, true}) {
    VirtualLoop loop;
    const auto ends = stranger_and_cloud(loop, bytes);
    Spec spec{.version = 3};
    spec.spec["name"] = std::string(kFrameBytesMax, 'x');
    const Result<> sent = ends.first->send(spec);
    ASSERT_EQ(sent.code(), ErrorCode::OutOfRange);
    EXPECT_NE(sent.error().message.find("'spec'"), std::string::npos) << sent.error().message;
    EXPECT_NE(sent.error().message.find("4194304"), std::string::npos) << sent.error().message;
    EXPECT_TRUE(ends.first->send(Heartbeat{}));
  }
}

// Nobody reads. What waits is bounded by bytes long before it is by messages.
TEST(Session, TheQueueIsBoundedByBytes) {
  for (const bool bytes : {false, true}) {
    VirtualLoop loop;
    const auto ends = stranger_and_cloud(loop, bytes);
    size_t queued = 0;
    Result<> sent;
    while ((sent = ends.first->send(large_log(1024 * 1024)))) ++queued;
    EXPECT_EQ(sent.code(), ErrorCode::ResourceExhausted);
    EXPECT_EQ(queued, 7u) << "of a MiB and a few bytes each, within 8 MiB";
  }
}

Task<Result<>> say_much(Session& session, int count) {
  for (int i = 0; i < count; ++i) {
    CO_TRY_DO(co_await session.wait_for_room());
    CO_TRY_DO(session.send(large_log(1024 * 1024)));
  }
  co_return Result<>();
}
Task<Result<>> hear_slowly(VirtualLoop& loop, Session& session, int count) {
  for (int i = 0; i < count; ++i) {
    CO_TRY_DO(co_await loop.clock.sleep_for(1s));
    CO_TRY(std::ignore, co_await session.receive());
  }
  co_return Result<>();
}
Task<Result<>> much(VirtualLoop& loop, SessionPtr speaker, SessionPtr listener) {
  Scope scope(loop.executor(), "speaker");
  scope.spawn(speaker->pump());
  scope.spawn(say_much(*speaker, 40));
  CO_TRY_DO(co_await hear_slowly(loop, *listener, 40));
  co_await scope.stop();
  co_return Result<>();
}

TEST(Session, WhoeverHasMuchToSayWaitsForRoom) {
  for (const bool bytes : {false, true}) {
    VirtualLoop loop;
    auto [speaker, listener] = stranger_and_cloud(loop, bytes);
    listener->let_in();
    loop.run(much(loop, std::move(speaker), std::move(listener)));
  }
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
