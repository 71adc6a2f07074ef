// Machines that are put out of a cloud, and tokens that are made anew: what those who have a session
// hear, what those who knock hear, and what holds after a restart.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "cloud/cloud.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

using testing::HasSubstr;

constexpr std::string_view kMachine = "11111111-1111-4111-8111-111111111111";
constexpr std::string_view kOther = "22222222-2222-4222-8222-222222222222";

// The dialling end of a session: says hello, and keeps what it hears until the end.
struct Caller {
  link::SessionPtr session;
  bool let_in = false;
  bool ended = false;
  std::optional<link::Goodbye> goodbye;
};

class MachineEndpointTest : public testing::Test {
 protected:
  MachineEndpointTest() { start_cloud(); }
  ~MachineEndpointTest() override {
    stop_cloud();
    scope_.cancel();
    loop_.clock.run_for(1s);
  }

  void start_cloud() {
    CloudSettings settings;
    settings.nodes.join_token = kept_.contains("join.token") ? kept_["join.token"] : "join";
    settings.gateways.gateway_token =
        kept_.contains("gateway.token") ? kept_["gateway.token"] : "gateway";
    settings.nodes.tunnel_secret = settings.gateways.tunnel_secret = "tunnel";
    settings.keep_secret = [this](std::string_view file, const std::string& secret) -> Result<> {
      kept_[std::string(file)] = secret;
      return {};
    };
    cloud_ = std::make_unique<Cloud>(loop_.executor(), loop_.clock, random_, *database_, *logs_,
                                     settings);
    loop_.run(begin());
  }
  Task<Result<>> begin() {
    CO_TRY_DO(co_await cloud_->start());
    if (cloud_->accounts().empty()) {
      std::vector<std::string> none;
      CO_TRY(const auto made, co_await cloud_->accounts().create_key("op", std::move(none), true,
                                                                     "operator-key-0123456789"));
    }
    co_return Result<>();
  }
  void stop_cloud() {
    loop_.run(end(*cloud_));
    cloud_.reset();
  }
  static Task<Result<>> end(Cloud& cloud) {
    co_await cloud.stop();
    co_return Result<>();
  }
  void restart_cloud() {
    stop_cloud();
    start_cloud();
  }

  HttpResponse call(std::string method, std::string path) {
    HttpRequest request;
    request.head.method = std::move(method);
    request.head.target = "/api/operator/" + path;
    request.head.headers.add("Salad-Api-Key", "operator-key-0123456789");
    HttpResponse out;
    loop_.run(keep(std::move(request), out));
    return out;
  }
  Task<Result<>> keep(HttpRequest request, HttpResponse& out) {
    out = co_await cloud_->handle_api(std::move(request));
    co_return Result<>();
  }

  static Task<Result<>> converse(Caller& caller, link::Message hello) {
    CO_TRY_DO(caller.session->send(hello));
    while (true) {
      const Result<link::Message> said = co_await caller.session->receive();
      if (!said) break;
      if (const auto* goodbye = std::get_if<link::Goodbye>(&*said)) {
        caller.goodbye = *goodbye;
        caller.session->close();
        break;
      }
      caller.let_in = true;
      if (std::holds_alternative<link::Welcome>(*said)) {
        CO_TRY_DO(caller.session->send(link::Report{}));
      }
    }
    caller.ended = true;
    co_return Result<>();
  }
  Caller& call_in(bool agent, link::Message hello) {
    auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
    Caller& caller = *callers_.emplace_back(std::make_unique<Caller>());
    caller.session = std::move(ours);
    if (agent) {
      cloud_->serve_agent(std::move(theirs));
    } else {
      cloud_->serve_gateway(std::move(theirs));
    }
    scope_.spawn(converse(caller, std::move(hello)));
    loop_.clock.run_for(1s);
    return caller;
  }
  Caller& node(std::string_view machine_id, std::string token) {
    link::Hello hello{.machine_id = std::string(machine_id),
                      .node_secret = "sixteen letters or more",
                      .join_token = std::move(token)};
    hello.facts.cpu = 4;
    hello.facts.memory_mb = 8192;
    return call_in(true, hello);
  }
  Caller& gateway(std::string token) {
    link::GatewayHello hello{.name = "eu", .gateway_token = std::move(token)};
    hello.tunnel_endpoint = "eu.example:8804";
    return call_in(false, hello);
  }
  static void expect_sent_away(const Caller& caller, ErrorCode code) {
    EXPECT_TRUE(caller.ended);
    ASSERT_TRUE(caller.goodbye);
    EXPECT_EQ(caller.goodbye->code, to_string(code));
  }
  static std::string path_of(std::string_view machine_id, std::string_view action = "") {
    return fmt::format("nodes/{}{}", machine_id, action);
  }

  VirtualLoop loop_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, cloud_migrations()).value();
  std::unique_ptr<store::Database> logs_ = store::open_sqlite({}, log_migrations()).value();
  std::map<std::string, std::string> kept_;
  std::unique_ptr<Cloud> cloud_;
  std::vector<std::unique_ptr<Caller>> callers_;
  Scope scope_{loop_.executor(), "callers"};
};

TEST_F(MachineEndpointTest, AForgottenNodeIsSentAwayAndIsAStrangerThen) {
  Caller& known = node(kMachine, "join");
  EXPECT_THAT(call("GET", "nodes").body, HasSubstr("\"state\":\"online\""));
  EXPECT_EQ(call("DELETE", path_of(kMachine)).status, 204);
  loop_.clock.run_for(1s);
  expect_sent_away(known, ErrorCode::PermissionDenied);
  EXPECT_EQ(call("GET", "nodes").body, R"({"items":[]})");
  EXPECT_EQ(call("DELETE", path_of(kMachine)).status, 404);
  restart_cloud();
  EXPECT_EQ(call("GET", "nodes").body, R"({"items":[]})");
  expect_sent_away(node(kMachine, "guess"), ErrorCode::Unauthenticated);
  EXPECT_TRUE(node(kMachine, "join").let_in);
}

TEST_F(MachineEndpointTest, ABannedNodeStaysOutWhateverItShowsUntilItIsUnbanned) {
  Caller& known = node(kMachine, "join");
  EXPECT_EQ(call("POST", path_of(kMachine, "/ban")).status, 204);
  loop_.clock.run_for(1s);
  expect_sent_away(known, ErrorCode::PermissionDenied);
  EXPECT_THAT(call("GET", "nodes").body, HasSubstr("\"state\":\"banned\""));
  expect_sent_away(node(kMachine, "join"), ErrorCode::PermissionDenied);
  EXPECT_TRUE(node(kOther, "join").let_in) << "another machine is not meant";
  restart_cloud();
  expect_sent_away(node(kMachine, "join"), ErrorCode::PermissionDenied);
  EXPECT_EQ(call("DELETE", path_of(kMachine)).status, 400) << "that would lift the ban";
  EXPECT_EQ(call("POST", path_of(kMachine, "/unban")).status, 204);
  EXPECT_TRUE(node(kMachine, "none").let_in) << "it is known still";
  EXPECT_EQ(call("POST", path_of(kOther.substr(1), "/ban")).status, 404);
}

TEST_F(MachineEndpointTest, ARotatedJoinTokenIsForStrangersOnly) {
  Caller& known = node(kMachine, "join");
  const HttpResponse rotated = call("POST", "tokens/join/rotate");
  ASSERT_EQ(rotated.status, 200);
  const std::string fresh(parse_json(rotated.body).value().at("token").as_string());
  EXPECT_EQ(kept_["join.token"], fresh);
  loop_.clock.run_for(1s);
  EXPECT_FALSE(known.ended);
  EXPECT_TRUE(node(kMachine, "join").let_in);
  expect_sent_away(node(kOther, "join"), ErrorCode::Unauthenticated);
  EXPECT_TRUE(node(kOther, fresh).let_in);
  restart_cloud();
  EXPECT_TRUE(node(kOther, "join").let_in);
  EXPECT_EQ(call("DELETE", path_of(kOther)).status, 204);
  expect_sent_away(node(kOther, "join"), ErrorCode::Unauthenticated);
}

TEST_F(MachineEndpointTest, ARotatedGatewayTokenEndsEverySessionAndTheOldOneIsRefused) {
  Caller& before = gateway("gateway");
  EXPECT_TRUE(before.let_in);
  const HttpResponse rotated = call("POST", "tokens/gateway/rotate");
  loop_.clock.run_for(1s);
  // Not a refusal: who reads the new one from its file comes back at once.
  expect_sent_away(before, ErrorCode::Unavailable);
  expect_sent_away(gateway("gateway"), ErrorCode::Unauthenticated);
  EXPECT_TRUE(gateway(kept_["gateway.token"]).let_in);
}

TEST_F(MachineEndpointTest, AForgottenGatewayIsToldNoNodeAnyMore) {
  Caller& before = gateway("gateway");
  EXPECT_THAT(call("GET", "gateways").body,
              HasSubstr(R"("name":"eu","tunnel_endpoint":"eu.example:8804","state":"online")"));
  EXPECT_EQ(call("DELETE", "gateways/eu").status, 204);
  loop_.clock.run_for(1s);
  expect_sent_away(before, ErrorCode::PermissionDenied);
  EXPECT_EQ(call("DELETE", "gateways/eu").status, 404);
  restart_cloud();
  EXPECT_EQ(call("GET", "gateways").body, R"({"items":[]})");
}

TEST_F(MachineEndpointTest, AMachineInTroubleIsNotOfferedUntilItSaysOtherwise) {
  Caller& machine = node(kMachine, "join");
  EXPECT_EQ(cloud_->fleet().nodes.offered().size(), 1u);
  ASSERT_TRUE(machine.session->send(link::Report{.trouble = "the disk is full"}));
  loop_.clock.run_for(1s);
  EXPECT_TRUE(cloud_->fleet().nodes.offered().empty());
  EXPECT_THAT(call("GET", "nodes").body, HasSubstr("takes nothing new: the disk is full"));
  ASSERT_TRUE(machine.session->send(link::Report{}));
  loop_.clock.run_for(1s);
  EXPECT_EQ(cloud_->fleet().nodes.offered().size(), 1u);
  EXPECT_THAT(call("GET", "nodes").body, testing::Not(HasSubstr("takes nothing new")));
}

TEST_F(MachineEndpointTest, OtherTokensAndMethodsAreRefused) {
  EXPECT_EQ(call("POST", "tokens/tunnel/rotate").status, 404);
  EXPECT_EQ(call("GET", "tokens/join/rotate").status, 405);
  EXPECT_EQ(call("GET", path_of(kMachine)).status, 405);
}

}  // namespace
}  // namespace mesclun::cloud
