// The metadata service as an application sees it: real HTTP over a connection in memory.
#include "agent/metadata_service.h"

#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "http/client.h"

namespace mesclun::agent {
namespace {

struct FakeHost final : MetadataHost {
  bool present() const override { return is_present; }
  bool started() const override { return is_started; }
  bool ready() const override { return is_ready; }
  int32_t deletion_cost() const override { return cost; }
  void set_deletion_cost(int32_t value) override { cost = value; }
  void ask(SelfAction action, std::string reason) override {
    actions.push_back(action);
    reasons.push_back(std::move(reason));
  }
  Task<Result<std::string>> token() override { co_return jwt; }

  bool is_present = true;
  bool is_started = true;
  bool is_ready = false;
  int32_t cost = 0;
  Result<std::string> jwt = std::string("a.b.c");
  std::vector<SelfAction> actions;
  std::vector<std::string> reasons;
};

class MetadataTest : public testing::Test {
 protected:
  HttpReply call(std::string method, std::string target, std::string body = {},
                 std::vector<std::pair<std::string, std::string>> headers = {
                     {"Metadata", "true"}}) {
    HttpCall call{
        .method = std::move(method), .target = std::move(target), .body = std::move(body)};
    for (const auto& [name, value] : headers) call.headers.add(name, value);
    HttpReply reply;
    loop.run(run(std::move(call), reply));
    return reply;
  }
  Task<Result<>> run(HttpCall call, HttpReply& reply) {
    MetadataService service(loop.executor(), loop.clock, host, rule);
    auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock);
    service.serve(std::move(theirs));
    bool keep_alive = false;
    CO_TRY(reply, co_await http_call(*ours, std::move(call), "169.254.169.254", 65536, keep_alive));
    co_await service.stop();
    co_return Result<>();
  }
  static json::value parse(const HttpReply& reply) { return json::parse(reply.body); }
  static void expect_problem(const HttpReply& reply, int status, std::string_view code) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_EQ(reply.headers.find("Content-Type"), "application/problem+json");
    const json::value body = json::parse(reply.body);
    EXPECT_EQ(body.at("code").as_string(), code);
    EXPECT_EQ(body.at("status").as_int64(), status);
    for (const auto& member : body.as_object()) {
      if (member.value().is_string()) {
        EXPECT_FALSE(member.value().as_string().empty());
      }
    }
  }

  VirtualLoop loop;
  FakeHost host;
  HeaderRule rule = HeaderRule::Strict;
};

constexpr const char* kGets[] = {"/v1/status", "/v1/token", "/v1/deletion-cost"};

TEST_F(MetadataTest, TheHeaderGateComesBeforeRouting) {
  for (const char* path : {"/v1/status", "/v1/token", "/nowhere"}) {
    expect_problem(call("GET", path, {}, {}), 403, "metadata-header-required");
    expect_problem(call("GET", path, {}, {{"Metadata", "false"}}), 403, "metadata-header-required");
    for (const char* name : {"X-Forwarded-For", "x-forwarded-host", "X-FORWARDED-PROTO"}) {
      expect_problem(call("GET", path, {}, {{"Metadata", "true"}, {name, ""}}), 403,
                     "forwarded-header-forbidden");
    }
  }
  EXPECT_EQ(call("GET", "/v1/status", {}, {{"mEtAdAtA", "true"}}).status, 200);
  EXPECT_EQ(call("GET", "/v1/status", {}, {{"Metadata", "true"}, {"Forwarded", "for=x"}}).status,
            200);
}

TEST_F(MetadataTest, TheGateCanBeRelaxedForActionsOnly) {
  rule = HeaderRule::RelaxedForActions;
  EXPECT_EQ(call("POST", "/v1/recreate", {}, {}).status, 204);
  EXPECT_EQ(call("POST", "/v1/reallocate", R"({"reason":"x"})", {}).status, 204);
  EXPECT_EQ(call("GET", "/v1/token", {}, {}).status, 403);
  EXPECT_EQ(call("POST", "/v1/restart", {}, {{"X-Forwarded-For", "1.2.3.4"}}).status, 403);
  rule = HeaderRule::Off;
  EXPECT_EQ(call("GET", "/v1/token", {}, {}).status, 200);
}

TEST_F(MetadataTest, StatusShowsBothResults) {
  const HttpReply reply = call("GET", "/v1/status");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.find("Content-Type"), "application/json");
  EXPECT_EQ(parse(reply), (json::value{{"ready", false}, {"started", true}}));
}

TEST_F(MetadataTest, TokenIsHandedOutOr503) {
  EXPECT_EQ(parse(call("GET", "/v1/token")), (json::value{{"jwt", "a.b.c"}}));
  host.jwt = Error::unavailable("the cloud is away");
  expect_problem(call("GET", "/v1/token"), 503, "not-ready");
  host.jwt = Error::not_found("gone");
  expect_problem(call("GET", "/v1/token"), 404, "container-not-found");
}

TEST_F(MetadataTest, DeletionCostTakesTheFullRangeInAnyCase) {
  EXPECT_EQ(parse(call("GET", "/v1/deletion-cost")), (json::value{{"deletion_cost", 0}}));
  for (const auto& [body, cost] :
       {std::pair(R"({"deletion_cost": 2147483647})", 2147483647),
        std::pair(R"({"Deletion_Cost": -2147483648})", std::numeric_limits<int32_t>::min()),
        std::pair(R"({"DELETION_COST": 5, "more": 1})", 5)}) {
    EXPECT_EQ(call("PUT", "/v1/deletion-cost", body).status, 204);
    EXPECT_EQ(host.cost, cost);
  }
  for (const char* body : {"", "{}", "[]", "nonsense", R"({"deletion_cost": 2147483648})",
                           R"({"deletion_cost": "5"})", R"({"deletion_cost": 1.5})"}) {
    expect_problem(call("PUT", "/v1/deletion-cost", body), 400, "validation-failed");
  }
  EXPECT_EQ(host.cost, 5);
}

TEST_F(MetadataTest, ReallocateNeedsAReason) {
  EXPECT_EQ(call("POST", "/v1/reallocate", R"({"Reason": "slow GPU"})").status, 204);
  EXPECT_EQ(host.reasons.back(), "slow GPU");
  std::string umlauts;
  for (int i = 0; i < 1000; ++i) umlauts += "ü";
  EXPECT_EQ(call("POST", "/v1/reallocate", R"({"reason": ")" + umlauts + "\"}").status, 204);
  for (const std::string& body :
       {std::string(), std::string("{}"), std::string(R"({"reason": ""})"),
        std::string(R"({"reason": 7})"), R"({"reason": ")" + umlauts + "x\"}"}) {
    const HttpReply reply = call("POST", "/v1/reallocate", body);
    expect_problem(reply, 400, "validation-failed");
    EXPECT_FALSE(parse(reply).at("errors").as_object().empty());
  }
  EXPECT_EQ(host.actions.size(), 2u);
}

TEST_F(MetadataTest, RecreateAndRestartTakeAnyBody) {
  EXPECT_EQ(call("POST", "/v1/recreate").status, 204);
  EXPECT_EQ(call("POST", "/v1/restart", "anything").status, 204);
  EXPECT_THAT(host.actions, testing::ElementsAre(SelfAction::Recreate, SelfAction::Restart));
}

TEST_F(MetadataTest, OtherPathsAre404AndOtherMethods405) {
  for (const char* path : {"/", "/v1", "/v1/status/", "/v1/Status", "/v2/status"}) {
    expect_problem(call("GET", path), 404, "not-found");
  }
  for (const auto& [method, path, allow] :
       {std::tuple("POST", "/v1/status", "GET"),
        std::tuple("DELETE", "/v1/deletion-cost", "GET, PUT"),
        std::tuple("GET", "/v1/reallocate", "POST"), std::tuple("PUT", "/v1/restart", "POST")}) {
    const HttpReply reply = call(method, path);
    expect_problem(reply, 405, "method-not-allowed");
    EXPECT_EQ(reply.headers.find("Allow"), allow);
  }
  EXPECT_EQ(call("GET", "/v1/status?x=1").status, 200);
}

TEST_F(MetadataTest, AnInstanceThatIsGoneIs404) {
  host.is_present = false;
  for (const char* path : kGets) expect_problem(call("GET", path), 404, "container-not-found");
  expect_problem(call("POST", "/v1/restart"), 404, "container-not-found");
}

}  // namespace
}  // namespace mesclun::agent
