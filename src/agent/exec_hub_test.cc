#include "agent/exec_hub.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/test_loop.h"
#include "link/exec_flow.h"

namespace mesclun::agent {
namespace {

// What the commands of a test did and do.
struct Played {
  std::vector<std::string> words;  // what was done to them
  std::string input;
  size_t alive = 0;
  bool reads = true;
  std::string says;  // at its start
  bool floods = false;
  std::optional<int32_t> exits;
};

class PlayedStream final : public runtime::ExecStream {
 public:
  PlayedStream(const asio::any_io_executor& executor, Played& played)
      : played_(played), changed_(executor), left_(played.says) {
    ++played_.alive;
  }
  ~PlayedStream() override { --played_.alive; }

  Task<Result<runtime::ExecOutput>> read(size_t bytes_max) override {
    while (true) {
      const std::string bytes =
          played_.floods ? std::string(bytes_max, 'f') : left_.substr(0, bytes_max);
      if (!played_.floods) left_.erase(0, bytes.size());
      if (!bytes.empty()) {
        co_return runtime::ExecOutput{.stream = runtime::ExecOutput::Stream::Out, .bytes = bytes};
      }
      if (played_.exits) co_return runtime::ExecOutput{};
      CO_TRY_DO(co_await changed_.wait());
    }
  }
  Task<Result<>> write(std::string bytes) override {
    while (!played_.reads) CO_TRY_DO(co_await changed_.wait());
    played_.input += bytes;
    co_return Result<>();
  }
  Task<Result<>> end_input() override {
    played_.words.push_back("end");
    co_return Result<>();
  }
  Result<> resize(runtime::TerminalSize size) override {
    played_.words.push_back(fmt::format("{}x{}", size.rows, size.columns));
    return {};
  }
  Result<> signal(int number) override {
    played_.words.push_back(fmt::format("signal {}", number));
    played_.exits = 128 + number;
    changed_.notify_all();
    return {};
  }
  Task<Result<runtime::ExecExit>> wait() override {
    co_return runtime::ExecExit{.code = *played_.exits, .detail = ""};
  }

 private:
  Played& played_;
  Notify changed_;
  std::string left_;
};

class ExecHubTest : public testing::Test {
 public:
  ExecHubTest() {
    auto [here, there] = link::memory_session_pair(loop.executor(), loop.clock);
    session = std::move(here);
    cloud = std::move(there);
    hub.emplace(ExecHub::Parts{
        .executor = loop.executor(),
        .session = *session,
        .open = [this](std::string instance_id, runtime::ExecSpec) { return open(instance_id); }});
  }
  Task<Result<std::unique_ptr<runtime::ExecStream>>> open(std::string instance_id) {
    if (instance_id != "i") co_return Error::not_found("not here");
    co_return std::make_unique<PlayedStream>(loop.executor(), played);
  }

  // As the cloud says it.
  template <class T>
  void tell(T body) {
    link::Message message = std::move(body);
    EXPECT_TRUE(hub->take(message));
  }
  void begin(std::string id, std::string instance_id = "i") {
    tell(link::ExecOpen{
        .exec_id = std::move(id), .instance_id = std::move(instance_id), .command = {"sh"}});
  }
  template <class T>
  Task<Result<T>> hear() {
    CO_TRY(link::Message message, co_await cloud->receive_within(10s));
    auto* found = std::get_if<T>(&message);
    if (found == nullptr) co_return Error::internal(std::string(message_name(message)));
    co_return std::move(*found);
  }
  void run(Task<Result<>> (*body)(ExecHubTest&)) { loop.run(run_and_close(body)); }

  VirtualLoop loop;
  Played played;
  link::SessionPtr session;
  link::SessionPtr cloud;
  std::optional<ExecHub> hub;

 private:
  Task<Result<>> run_and_close(Task<Result<>> (*body)(ExecHubTest&)) {
    const Result<> done = co_await body(*this);
    co_await hub->close();
    EXPECT_EQ(played.alive, 0u);
    EXPECT_EQ(hub->running(), 0u);
    co_return done;
  }
};

link::ExecData input_of(std::string id, std::string bytes) {
  return {.exec_id = std::move(id), .channel = link::ExecChannel::Input, .data = base64(bytes)};
}

Task<Result<>> serve_one(ExecHubTest& t) {
  t.played.says = "up";
  t.begin("a");
  t.tell(link::ExecResize{.exec_id = "a", .rows = 3, .columns = 4});
  CO_TRY(const link::ExecData said, co_await t.hear<link::ExecData>());
  EXPECT_EQ(said.data, base64("up"));
  t.tell(input_of("a", "one "));
  t.tell(input_of("a", "two"));
  t.tell(link::ExecInputEnd{.exec_id = "a"});
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  EXPECT_EQ(t.played.input, "one two");
  t.tell(link::ExecSignal{.exec_id = "a", .number = 2});
  CO_TRY(const link::ExecExit exit, co_await t.hear<link::ExecExit>());
  EXPECT_EQ(exit.code, 130);
  EXPECT_EQ(exit.error_code, "");
  std::erase(t.played.words, "24x80");  // its size at first
  EXPECT_EQ(t.played.words, (std::vector<std::string>{"3x4", "end", "signal 2"}));
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  EXPECT_EQ(t.played.alive, 0u);
  co_return Result<>();
}

TEST_F(ExecHubTest, ACommandIsServedToItsLastWord) {
  run(serve_one);
}

Task<Result<>> refuse(ExecHubTest& t) {
  t.begin("a", "elsewhere");
  CO_TRY(const link::ExecExit absent, co_await t.hear<link::ExecExit>());
  EXPECT_EQ(absent.error_code, "not_found");
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  for (size_t i = 0; i < ExecHub::kExecsMax; ++i) t.begin(std::to_string(i));
  t.begin("more");
  CO_TRY(const link::ExecExit full, co_await t.hear<link::ExecExit>());
  EXPECT_EQ(full.exec_id, "more");
  EXPECT_EQ(full.error_code, "resource_exhausted");
  t.tell(input_of("nobody", "x"));
  t.tell(link::ExecSignal{.exec_id = "nobody", .number = 9});
  link::Message other = link::Heartbeat{};
  EXPECT_FALSE(t.hub->take(other));
  co_return Result<>();
}

TEST_F(ExecHubTest, WhatCannotBeServedIsRefusedWithTheReason) {
  run(refuse);
}

Task<Result<>> hold_back(ExecHubTest& t) {
  t.played.floods = true;
  t.played.reads = false;
  t.begin("a");
  int64_t came = 0;
  while (came < link::kExecWindowBytes) {
    CO_TRY(const link::ExecData said, co_await t.hear<link::ExecData>());
    CO_TRY(const std::string bytes, from_base64(said.data));
    came += std::ssize(bytes);
  }
  EXPECT_EQ(came, link::kExecWindowBytes);
  EXPECT_EQ((co_await t.cloud->receive_within(1min)).code(), ErrorCode::DeadlineExceeded);
  t.tell(link::ExecWindow{.exec_id = "a", .bytes = 100});
  CO_TRY(const link::ExecData more, co_await t.hear<link::ExecData>());
  EXPECT_EQ(more.data, base64(std::string(100, 'f')));
  // And its input: one window waits for the command, more is nobody's right.
  for (int64_t said = 0; said < link::kExecWindowBytes; said += 1024) {
    t.tell(input_of("a", std::string(1024, 'x')));
  }
  EXPECT_EQ((co_await t.cloud->receive_within(1min)).code(), ErrorCode::DeadlineExceeded);
  t.tell(input_of("a", "x"));
  CO_TRY(const link::ExecExit exit, co_await t.hear<link::ExecExit>());
  EXPECT_EQ(exit.error_code, "invalid_argument");
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  EXPECT_EQ(t.played.alive, 0u);
  co_return Result<>();
}

TEST_F(ExecHubTest, NeitherSideHoldsMoreThanAWindow) {
  run(hold_back);
}

Task<Result<>> close_one(ExecHubTest& t) {
  t.played.reads = false;
  t.begin("a");
  t.begin("b");
  t.tell(input_of("a", "x"));
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  EXPECT_EQ(t.played.alive, 2u);
  t.tell(link::ExecClose{.exec_id = "a"});
  CO_TRY_DO(co_await t.loop.clock.sleep_for(1ms));
  EXPECT_EQ(t.played.alive, 1u);
  // The other one ends with the session: run_and_close().
  co_return Result<>();
}

TEST_F(ExecHubTest, CommandsEndWhenTheyAreClosedAndWithTheirSession) {
  run(close_one);
}

}  // namespace
}  // namespace mesclun::agent
