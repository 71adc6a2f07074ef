#include "cloud/exec_socket.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/test_loop.h"

namespace mesclun::cloud {
namespace {

// A person's end that answers questions after its life, or does not.
class PlayedSocket final : public WebSocket {
 public:
  explicit PlayedSocket(const asio::any_io_executor& executor) : changed_(executor) {}

  Task<Result<WebSocketMessage>> read() override {
    while (said.empty() && !ended) CO_TRY_DO(co_await changed_.wait());
    if (said.empty()) co_return Error::unavailable("it has ended");
    WebSocketMessage message = std::move(said.front());
    said.pop_front();
    ++heard_;
    co_return message;
  }
  Task<Result<>> write(WebSocketMessage message) override {
    while (!reads && !ended) CO_TRY_DO(co_await changed_.wait());
    if (ended) co_return Error::unavailable("it has ended");
    told.push_back(std::move(message));
    co_return Result<>();
  }
  Task<Result<>> ping() override {
    ++pings;
    if (answers) ++heard_;
    co_return Result<>();
  }
  uint64_t heard() const override { return heard_; }
  Task<Result<>> close(CloseCode code, std::string) override {
    closed = code;
    abort();
    co_return Result<>();
  }
  void abort() override {
    ended = true;
    changed_.notify_all();
  }
  bool peer_is_gone() const override { return gone; }

  void say(WebSocketMessage message) {
    said.push_back(std::move(message));
    changed_.notify_all();
  }

  std::deque<WebSocketMessage> said;
  std::vector<WebSocketMessage> told;
  std::optional<CloseCode> closed;
  size_t pings = 0;
  bool answers = true;
  bool reads = true;
  bool ended = false;
  bool gone = false;

 private:
  Notify changed_;
  uint64_t heard_ = 0;
};

class ExecSocketTest : public testing::Test {
 public:
  ExecSocketTest() {
    auto [here, there] = link::memory_session_pair(loop.executor(), loop.clock);
    session = std::move(here);
    node = std::move(there);
    link.emplace(loop.executor(), *session);
    scope.spawn(link->run());
    exec = *link->open({.exec_id = "a", .instance_id = "i", .command = {"sh"}});
    between.emplace(loop.executor(), ExecSocket::Parts{.clock = loop.clock,
                                                       .socket = socket,
                                                       .exec = *exec,
                                                       .allowed = [this] { return allowed; }});
    scope.spawn(serve());
  }
  ~ExecSocketTest() override {
    scope.cancel();
    loop.clock.run_ready();
  }
  Task<Result<>> serve() {
    Result<NodeExec::End> how = co_await between->run();
    if (how) end = *std::move(how);
    co_return Result<>();
  }
  template <class T>
  void tell(T body) {
    link::Message message = std::move(body);
    EXPECT_TRUE(link->take(message));
  }
  void pass(Duration time) {
    loop.run([](Clock& clock, Duration length) -> Task<Result<>> {
      co_return co_await clock.sleep_for(length);
    }(loop.clock, time));
  }

  VirtualLoop loop;
  PlayedSocket socket{loop.executor()};
  link::SessionPtr session;
  link::SessionPtr node;
  std::optional<ExecLink> link;
  std::unique_ptr<NodeExec> exec;
  std::optional<ExecSocket> between;
  std::optional<NodeExec::End> end;
  bool allowed = true;
  Scope scope{loop.executor(), "test"};
};

TEST_F(ExecSocketTest, IdleHoursEndNothing) {
  pass(std::chrono::hours(10));
  EXPECT_FALSE(end);
  EXPECT_GT(socket.pings, 1000u);
  tell(
      link::ExecData{.exec_id = "a", .channel = link::ExecChannel::Output, .data = base64("late")});
  tell(link::ExecExit{.exec_id = "a", .code = 4, .detail = "", .error_code = ""});
  pass(1s);
  ASSERT_EQ(socket.told.size(), 2u);
  EXPECT_EQ(socket.told[0].data, std::string("\x01") + "late");
  EXPECT_EQ(socket.told[1].data, R"({"exit":{"code":4}})");
  EXPECT_EQ(socket.closed, CloseCode::Normal);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 4);
}

TEST_F(ExecSocketTest, WhoAnswersNothingIsGone) {
  socket.answers = false;
  pass(80s);
  EXPECT_FALSE(end);
  pass(20s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->error->code, ErrorCode::Unavailable);
}

// Our own silence is not the caller's, but his leave is seen.
TEST_F(ExecSocketTest, WhoWaitsForTheCommandToReadIsNotSilent) {
  socket.answers = false;
  for (int64_t said = 0; said < 2 * link::kExecWindowBytes; said += 100'000) {
    socket.say({.text = false, .data = std::string(100'001, '\0')});
  }
  pass(10min);
  EXPECT_FALSE(end);
  socket.gone = true;
  pass(5s);
  EXPECT_TRUE(end);
}

TEST_F(ExecSocketTest, WrongWordsEndItWithTheReason) {
  socket.say({.text = true, .data = R"({"signal": "NO"})"});
  pass(1s);
  ASSERT_EQ(socket.told.size(), 1u);
  EXPECT_NE(socket.told[0].data.find("invalid_request"), std::string::npos);
  EXPECT_EQ(socket.closed, CloseCode::Policy);
}

TEST_F(ExecSocketTest, ADeletedKeyEndsItAlsoWhilePaused) {
  socket.say({.text = true, .data = R"({"pause": true})"});
  pass(10s);
  EXPECT_FALSE(end);
  allowed = false;
  pass(5s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->error->code, ErrorCode::PermissionDenied);
}

}  // namespace
}  // namespace mesclun::cloud
