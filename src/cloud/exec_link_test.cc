#include "cloud/exec_link.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/race.h"
#include "base/real_random.h"
#include "base/test_loop.h"
#include "cloud/exec_places.h"
#include "cloud/exec_tickets.h"

namespace mesclun::cloud {
namespace {

// A link over a session whose other end the test is.
class ExecLinkTest : public testing::Test {
 public:
  ExecLinkTest() {
    auto [here, there] = link::memory_session_pair(loop.executor(), loop.clock);
    session = std::move(here);
    node = std::move(there);
    link.emplace(loop.executor(), *session);
    scope.spawn(link->run());
  }
  ~ExecLinkTest() override {
    scope.cancel();
    loop.clock.run_ready();
  }

  template <class T>
  Task<Result<T>> hear() {
    CO_TRY(link::Message message, co_await node->receive());
    auto* found = std::get_if<T>(&message);
    if (found == nullptr) co_return Error::internal(std::string(message_name(message)));
    co_return std::move(*found);
  }
  // As the node says it.
  template <class T>
  void tell(T body) {
    link::Message message = std::move(body);
    EXPECT_TRUE(link->take(message));
  }
  Result<std::unique_ptr<NodeExec>> open(std::string id) {
    return link->open({.exec_id = std::move(id), .instance_id = "i", .command = {"sh"}});
  }

  VirtualLoop loop;
  link::SessionPtr session;
  link::SessionPtr node;
  std::optional<ExecLink> link;
  Scope scope{loop.executor(), "test"};
};

link::ExecData output(std::string id, std::string bytes,
                      link::ExecChannel channel = link::ExecChannel::Output) {
  return {.exec_id = std::move(id), .channel = channel, .data = base64(bytes)};
}

Task<Result<>> talk(ExecLinkTest& t) {
  CO_TRY(std::unique_ptr<NodeExec> exec, t.open("a"));
  CO_TRY(const link::ExecOpen order, co_await t.hear<link::ExecOpen>());
  EXPECT_EQ(order.exec_id, "a");
  CO_TRY_DO(co_await exec->write("hello"));
  CO_TRY(const link::ExecData input, co_await t.hear<link::ExecData>());
  EXPECT_EQ(input.data, base64("hello"));
  exec->signal(2);
  exec->resize(5, 6);
  exec->end_input();
  EXPECT_TRUE(co_await t.hear<link::ExecSignal>());
  EXPECT_TRUE(co_await t.hear<link::ExecResize>());
  EXPECT_TRUE(co_await t.hear<link::ExecInputEnd>());

  t.tell(output("a", "out"));
  t.tell(output("a", "err", link::ExecChannel::Errors));
  t.tell(link::ExecExit{.exec_id = "a", .code = 3, .detail = "", .error_code = ""});
  t.tell(output("nobody", "late"));
  CO_TRY(const auto first, co_await exec->read());
  EXPECT_EQ(std::get<NodeExec::Output>(first).bytes, "out");
  CO_TRY(const auto second, co_await exec->read());
  EXPECT_EQ(std::get<NodeExec::Output>(second).channel, link::ExecChannel::Errors);
  CO_TRY(const auto third, co_await exec->read());
  EXPECT_EQ(std::get<NodeExec::End>(third).code, 3);
  EXPECT_FALSE(std::get<NodeExec::End>(third).error);
  EXPECT_EQ((co_await exec->write("late")).code(), ErrorCode::Unavailable);
  exec.reset();
  CO_TRY(const link::ExecClose close, co_await t.hear<link::ExecClose>());
  EXPECT_EQ(close.exec_id, "a");
  co_return Result<>();
}

TEST_F(ExecLinkTest, ACommandIsOpenedSpokenToAndClosed) {
  loop.run(talk(*this));
}

Task<Result<>> hold_back(ExecLinkTest& t) {
  CO_TRY(const std::unique_ptr<NodeExec> exec, t.open("a"));
  CO_TRY_DO(co_await t.hear<link::ExecOpen>());
  // A command that does not read: one window, and the writer waits.
  std::string much(2 * static_cast<size_t>(link::kExecWindowBytes), 'x');
  EXPECT_EQ((co_await within(t.loop.clock, 10s, exec->write(std::move(much)))).code(),
            ErrorCode::DeadlineExceeded);
  size_t came = 0;
  while (came < static_cast<size_t>(link::kExecWindowBytes)) {
    CO_TRY(const link::ExecData input, co_await t.hear<link::ExecData>());
    CO_TRY(const std::string bytes, from_base64(input.data));
    EXPECT_LE(bytes.size(), link::kExecDataBytesMax);
    came += bytes.size();
  }
  EXPECT_EQ((co_await t.node->receive_within(1s)).code(), ErrorCode::DeadlineExceeded);
  // A reader that does not read: the node may say one window, and loses the command with more.
  const std::string piece(link::kExecDataBytesMax, 'y');
  for (int64_t said = 0; said < link::kExecWindowBytes; said += std::ssize(piece)) {
    t.tell(output("a", piece));
  }
  t.tell(output("a", "z"));
  while (true) {
    CO_TRY(const auto next, co_await exec->read());
    const auto* end = std::get_if<NodeExec::End>(&next);
    if (end == nullptr) continue;
    EXPECT_TRUE(end->error);
    break;
  }
  co_return Result<>();
}

TEST_F(ExecLinkTest, NeitherSideHoldsMoreThanAWindow) {
  loop.run(hold_back(*this));
}

Task<Result<>> lose(ExecLinkTest& t) {
  CO_TRY(const std::unique_ptr<NodeExec> exec, t.open("a"));
  t.tell(link::ExecExit{.exec_id = "a", .code = -1, .detail = "gone", .error_code = "not_found"});
  CO_TRY(const auto refused, co_await exec->read());
  EXPECT_EQ(std::get<NodeExec::End>(refused).error->code, ErrorCode::NotFound);

  CO_TRY(const std::unique_ptr<NodeExec> other, t.open("b"));
  co_await t.scope.stop();
  t.link.reset();
  CO_TRY(const auto lost, co_await other->read());
  EXPECT_EQ(std::get<NodeExec::End>(lost).error->code, ErrorCode::Unavailable);
  other->signal(2);
  co_return Result<>();
}

TEST_F(ExecLinkTest, EndOfTheSessionIsTheEndOfItsCommands) {
  loop.run(lose(*this));
}

Task<Result<>> crowd(ExecLinkTest& t) {
  std::vector<std::unique_ptr<NodeExec>> all;
  for (size_t i = 0; i < ExecLink::kExecsMax; ++i) {
    CO_TRY(all.emplace_back(), t.open(std::to_string(i)));
  }
  EXPECT_EQ(t.open("more").code(), ErrorCode::ResourceExhausted);
  all.pop_back();
  EXPECT_TRUE(t.open("more"));
  // One that says too much while its node takes nothing is lost alone.
  for (size_t i = 0; i < 2 * ExecLink::kWaitingMax; ++i) all[0]->signal(1);
  CO_TRY(const auto end, co_await all[0]->read());
  EXPECT_EQ(std::get<NodeExec::End>(end).error->code, ErrorCode::ResourceExhausted);
  CO_TRY_DO(co_await all[1]->write("x"));
  co_return Result<>();
}

TEST_F(ExecLinkTest, ManyAreBoundedAndOneThatTalksTooMuchIsLost) {
  loop.run(crowd(*this));
}

TEST(ExecTickets, OpenOnceAndSoon) {
  VirtualLoop loop;
  RealRandom random;
  ExecTickets tickets(loop.clock, random);
  const std::string one = *tickets.issue({.key_id = "k", .path = "p", .origin = ""});
  const auto shown = tickets.redeem(one);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->path, "p");
  EXPECT_FALSE(tickets.redeem(one));
  EXPECT_FALSE(tickets.redeem(""));
  const std::string late = *tickets.issue({.key_id = "k", .path = "p", .origin = ""});
  loop.run([](Clock& clock) -> Task<Result<>> {
    co_return co_await clock.sleep_for(ExecTickets::kLife);
  }(loop.clock));
  EXPECT_FALSE(tickets.redeem(late));
  for (size_t i = 0; i < ExecTickets::kTicketsOfKeyMax; ++i) {
    EXPECT_TRUE(tickets.issue({.key_id = "k", .path = "p", .origin = ""}));
  }
  EXPECT_EQ(tickets.issue({.key_id = "k", .path = "p", .origin = ""}).code(),
            ErrorCode::ResourceExhausted);
  EXPECT_TRUE(tickets.issue({.key_id = "other", .path = "p", .origin = ""}));
}

TEST(ExecPlaces, AreCountedWhereTheyAre) {
  ExecPlaces places({.all = 4, .of_organization = 3, .of_instance = 2});
  auto a = places.enter("o", "i");
  auto b = places.enter("o", "i");
  EXPECT_TRUE(a && b);
  EXPECT_EQ(places.enter("o", "i").code(), ErrorCode::ResourceExhausted);
  const auto c = places.enter("o", "j");
  EXPECT_TRUE(c);
  EXPECT_FALSE(places.enter("o", "k"));
  const auto d = places.enter("p", "k");
  EXPECT_TRUE(d);
  EXPECT_FALSE(places.enter("q", "l"));
  a = Error::cancelled();
  EXPECT_EQ(places.taken(), 3u);
  EXPECT_TRUE(places.enter("o", "i"));
}

}  // namespace
}  // namespace mesclun::cloud
