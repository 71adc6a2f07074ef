// The agent as a process of its own, against a cloud of this test on real sockets: the dialers, the
// process driver, the control socket, and what a kill -9 leaves behind.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "agent/agent_service.h"
#include "agent/agent_test_kit.h"
#include "agent/control_endpoint.h"
#include "agent/file_state_store.h"
#include "agent/gateway_dialer.h"
#include "base/test_folder.h"
#include "http/client.h"
#include "link/tunnel.h"
#include "link/upgrade.h"

extern char** environ;

namespace mesclun::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAllocation = "00000000-0000-4000-8000-000000000001";

// A node port: takes sessions and tunnels, says what is desired, keeps what it hears.
class NodePort {
 public:
  NodePort(const asio::any_io_executor& executor, Clock& clock)
      : executor_(executor),
        clock_(clock),
        server_(
            executor, clock, "node port", {},
            [this](HttpRequest request) { return answer(std::move(request)); },
            [](const Error&) { return HttpResponse{.status = 400}; }),
        scope_(executor, "node port sessions"),
        changed(executor) {
    auto listener = Listener::bind(executor, {.host = "127.0.0.1"});
    endpoint = listener->endpoint();
    server_.serve(std::move(*listener));
  }
  Task<void> close() {
    co_await scope_.stop();
    co_await server_.stop();
  }
  // Until `done` holds, for at most 20 s.
  template <class Predicate>
  Task<Result<>> until(Predicate done) {
    const TimePoint end = clock_.now() + 20s;
    while (!done()) {
      if (clock_.now() >= end) co_return Error::deadline("it did not come to that");
      CO_TRY_DO(co_await changed.wait_until(clock_, end));
    }
    co_return Result<>();
  }
  const link::ReplicaStatus& instance() const {
    static const link::ReplicaStatus kNone;
    return last.instances.empty() ? kNone : last.instances.front().status;
  }

  Endpoint endpoint;
  link::Spec spec;
  link::Desired desired{.revision = 1};
  link::Hello hello;
  link::Report last;
  std::vector<std::string> output;
  std::unique_ptr<link::Tunnel> tunnel;
  std::string ticket;

 private:
  static Task<HttpResponse> just(HttpResponse response) { co_return response; }
  Task<HttpResponse> answer(HttpRequest request) {
    const bool is_session = request.path() == link::kSessionUpgrade.path;
    HttpResponse response =
        link::accept_upgrade(request, is_session ? link::kSessionUpgrade : link::kTunnelUpgrade)
            .value();
    if (!is_session) ticket = link::shown_ticket(request);
    response.upgrade = [this, is_session](ConnPtr conn) {
      if (is_session) {
        scope_.spawn(serve(link::make_conn_session(std::move(conn), executor_, clock_)));
      } else {
        tunnel = link::Tunnel::opening(executor_, std::move(conn), clock_);
        scope_.spawn(tunnel->run());
      }
    };
    return just(std::move(response));
  }
  Task<Result<>> pump(std::shared_ptr<link::Session> session) {
    std::ignore = co_await session->pump();
    co_return Result<>();
  }
  Task<Result<>> serve(std::shared_ptr<link::Session> session) {
    scope_.spawn(pump(session));
    CO_TRY(const link::Message first, co_await session->receive());
    hello = std::get<link::Hello>(first);
    link::Welcome welcome{.heartbeat_ms = 1'000, .gateways = {endpoint.to_string()}};
    welcome.tunnel_ticket = "the-ticket";
    welcome.logs_acknowledged = logs_stored_;
    CO_TRY_DO(session->send(welcome));
    CO_TRY_DO(session->send(spec));
    CO_TRY_DO(session->send(desired));
    while (true) {
      Result<link::Message> message = co_await session->receive();
      if (!message) break;
      if (const auto* report = std::get_if<link::Report>(&*message)) last = *report;
      if (const auto* logs = std::get_if<link::LogBatch>(&*message);
          logs != nullptr && logs->sequence > logs_stored_) {
        logs_stored_ = logs->sequence;
        CO_TRY_DO(session->send(link::LogAcknowledge{logs_stored_}));
        for (const link::LogLine& line : logs->lines) output.push_back(line.text);
      }
      if (std::holds_alternative<link::Heartbeat>(*message)) {
        CO_TRY_DO(session->send(link::Heartbeat{}));
      }
      changed.notify_all();
    }
    session->close();
    co_return Result<>();
  }

  int64_t logs_stored_ = 0;
  asio::any_io_executor executor_;
  Clock& clock_;
  HttpServer server_;
  Scope scope_;

 public:
  Notify changed;
};

pid_t spawn_agent(const NodePort& cloud, const fs::path& data) {
  std::vector<std::string> arguments = {
      "mesclun",      "agent",       "--cloud",     cloud.endpoint.to_string(),
      "--data",       data.string(), "--name",      "box",
      "--country",    "de",          "--gpu-class", "rtx 4090 (24 gb)",
      "--stop-grace", "5s",          "--log-level", "off"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv.data(), environ), 0);
  return pid;
}

int end_process(pid_t pid, int signal) {
  ::kill(pid, signal);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Task<Result<>> kill_and_adopt(RealLoop& loop, const TestFolder& folder) {
  NodePort cloud(loop.executor(), loop.clock);
  link::Assignment& assignment = cloud.desired.assignments.emplace_back();
  assignment.allocation_id = kAllocation;
  assignment.instance_id = "00000000-0000-4000-8000-000000000002";
  assignment.group_id = "00000000-0000-4000-8000-000000000003";
  cloud.spec.group = {.group_id = assignment.group_id, .group_name = "sleeper"};
  cloud.spec.spec = test_spec(
      R"({"container": {"command": ["/bin/sh", "-c",
          "exec 2>/dev/null; echo I am $SALAD_INSTANCE_ID; trap 'echo the end; exit' TERM; while true; do sleep 0.1; done"]}})");

  pid_t pid = spawn_agent(cloud, folder.path());
  CO_TRY_DO(co_await cloud.until([&] { return cloud.instance().ready; }));
  EXPECT_EQ(cloud.instance().instance_id, assignment.instance_id);
  EXPECT_EQ(cloud.hello.facts.hostname, "box");
  EXPECT_EQ(cloud.hello.facts.country, "de");
  EXPECT_TRUE(cloud.hello.facts.gpus.back().pretended);
  EXPECT_EQ(cloud.hello.facts.gpus.back().name, "RTX 4090 (24 GB)");
  const std::string said = "I am " + assignment.instance_id;
  CO_TRY_DO(co_await cloud.until([&] { return !cloud.output.empty(); }));
  EXPECT_EQ(cloud.output.front(), said);
  CO_TRY_DO(co_await cloud.until([&] { return cloud.tunnel != nullptr; }));
  EXPECT_EQ(cloud.ticket, "the-ticket");

  // A kill leaves the application running; the next agent finds it.
  const std::string machine_id = cloud.hello.machine_id;
  EXPECT_EQ(end_process(pid, SIGKILL), 128 + SIGKILL);
  cloud.last = {};
  pid = spawn_agent(cloud, folder.path());
  CO_TRY_DO(co_await cloud.until([&] { return cloud.instance().ready; }));
  EXPECT_EQ(cloud.hello.machine_id, machine_id);
  EXPECT_EQ(cloud.instance().instance_id, assignment.instance_id);

  CO_TRY(const AgentStatus paused, co_await ask_agent(folder.path(), loop.clock, "pause"));
  EXPECT_EQ(paused.mode, link::NodeMode::Paused);
  EXPECT_EQ(paused.cloud, "connected");
  EXPECT_EQ(paused.instances.at(0).group, "sleeper");
  CO_TRY_DO(co_await cloud.until([&] { return cloud.last.mode == link::NodeMode::Paused; }));

  // SIGTERM ends the application too, and says so.
  EXPECT_EQ(end_process(pid, SIGTERM), 0);
  CO_TRY_DO(co_await cloud.until([&] { return cloud.instance().state == link::RunState::Ended; }));
  EXPECT_EQ(cloud.instance().outcome, link::RunOutcome::Replace);
  const auto asked = co_await ask_agent(folder.path(), loop.clock, "status");
  EXPECT_EQ(asked.code(), ErrorCode::Unavailable);

  // What it said before the kill and at its end comes once, if need be by the next agent.
  cloud.desired.assignments.clear();
  cloud.hello = {};
  pid = spawn_agent(cloud, folder.path());
  // Also of this agent something is to be heard: before that it may not know what SIGTERM means.
  CO_TRY_DO(co_await cloud.until(
      [&] { return !cloud.hello.machine_id.empty() && cloud.output.size() >= 2; }));
  EXPECT_EQ(end_process(pid, SIGTERM), 0);
  EXPECT_EQ(cloud.output, (std::vector<std::string>{said, "the end"}));
  co_await cloud.close();
  co_return Result<>();
}

TEST(AgentService, AKilledAgentsInstanceIsAdoptedAndSigtermEndsIt) {
  RealLoop loop;
  const TestFolder folder;
  loop.run(kill_and_adopt(loop, folder), std::chrono::seconds(120));
}

Task<Result<>> expect_refusal(RealLoop& loop, AgentOptions options, std::string part) {
  const Result<> served = co_await serve_agent(loop.executor(), std::move(options));
  EXPECT_FALSE(served);
  if (!served) {
    EXPECT_THAT(served.error().message, testing::HasSubstr(part));
  }
  co_return Result<>();
}

TEST(AgentService, ACloudOnAnotherMachineIsRefused) {
  RealLoop loop;
  const TestFolder folder;
  AgentOptions options{.cloud = {.host = "192.0.2.1", .port = 8802}, .data = folder.path("data")};
  loop.run(expect_refusal(loop, options, "--allow-remote-cloud"));
  EXPECT_FALSE(fs::exists(options.data));
}

TEST(AgentService, ASecondAgentOverTheSameFolderIsRefused) {
  RealLoop loop;
  const TestFolder folder;
  const Result<FolderLock> first = FolderLock::take(folder.path(), "agent");
  AgentOptions options{.data = folder.path()};
  loop.run(expect_refusal(loop, options, "another agent works in"));
}

Task<Result<>> echo(ConnPtr conn) {
  char buffer[256];
  while (true) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) break;
    CO_TRY_DO(co_await conn->write(std::string_view(buffer, n)));
  }
  co_return Result<>();
}

Task<Result<>> carry_streams(RealLoop& loop) {
  NodePort gateway(loop.executor(), loop.clock);
  GatewayDialer dialer(loop.clock);
  Scope scope(loop.executor(), "streams");
  std::vector<std::string> connects;
  ConnectInstance connect = [&](std::string id, uint16_t port) -> Task<Result<ConnPtr>> {
    connects.push_back(fmt::format("{} {}", id, port));
    auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock);
    scope.spawn(echo(std::move(theirs)));
    return
        [](ConnPtr conn) -> Task<Result<ConnPtr>> { co_return std::move(conn); }(std::move(ours));
  };
  scope.spawn(dialer.carry(gateway.endpoint.to_string(), "t", connect,
                           [&] { gateway.changed.notify_all(); }));
  CO_TRY_DO(co_await gateway.until([&] { return gateway.tunnel != nullptr; }));
  link::TunnelTarget target{.instance_id = "i-1", .port = 8080};
  CO_TRY(const auto stream, co_await gateway.tunnel->open(std::move(target), 5s));
  CO_TRY_DO(co_await stream->write("ping"));
  char answer[4];
  CO_TRY_DO(co_await read_exactly(*stream, asio::buffer(answer)));
  EXPECT_EQ(std::string_view(answer, 4), "ping");
  EXPECT_THAT(connects, testing::ElementsAre("i-1 8080"));
  EXPECT_EQ(gateway.ticket, "t");
  co_await scope.stop();
  co_await gateway.close();
  co_return Result<>();
}

TEST(GatewayDialer, CarriesStreamsToInstances) {
  RealLoop loop;
  loop.run(carry_streams(loop));
}

}  // namespace
}  // namespace mesclun::agent
