#include "cloud/cloud.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/test_loop.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

// Refuses to write while told so.
class MoodyDatabase final : public store::Database {
 public:
  explicit MoodyDatabase(store::Database& real) : real_(real) {}
  Task<Result<>> write(store::Body body) override {
    if (broken) co_return Error::unavailable("database: disk full");
    co_return co_await real_.write(std::move(body));
  }
  Task<Result<>> read(store::Body body) override { return real_.read(std::move(body)); }
  bool broken = false;

 private:
  store::Database& real_;
};

// A cloud with two organizations, without nodes unless a test adds one.
class CloudTest : public testing::Test {
 protected:
  CloudTest() {
    CloudSettings settings;
    settings.nodes.join_token = "join";
    settings.nodes.tunnel_secret = "tunnel";
    settings.gateways.gateway_token = "gateway";
    settings.gateways.tunnel_secret = "tunnel";
    cloud_ = std::make_unique<Cloud>(loop_.executor(), loop_.clock, random_, database_, *logs_,
                                     settings);
    loop_.run(set_up());
  }
  ~CloudTest() override {
    loop_.run(tear_down());
    cloud_.reset();
  }

  Task<Result<>> set_up() {
    CO_TRY_DO(co_await cloud_->start());
    CO_TRY(const auto acme, co_await cloud_->accounts().create_organization("acme", ""));
    CO_TRY(const auto web, co_await cloud_->accounts().create_project(acme.id, "web"));
    CO_TRY(const auto other, co_await cloud_->accounts().create_organization("other", ""));
    std::vector<std::string> organizations(1, acme.id);
    CO_TRY(const auto key,
           co_await cloud_->accounts().create_key("ann", std::move(organizations), false));
    key_ = key.secret;
    std::vector<std::string> same(1, acme.id);
    CO_TRY(const auto second,
           co_await cloud_->accounts().create_key("bob", std::move(same), false));
    second_key_ = second.secret;
    co_return Result<>();
  }
  Task<Result<>> tear_down() {
    co_await cloud_->stop();
    co_return Result<>();
  }

  HttpResponse call(std::string method, std::string path, std::string body = "",
                    std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpRequest made = request(std::move(method), "/api/public/organizations/" + path);
    for (const auto& [name, value] : headers) made.head.headers.set(name, value);
    made.body = std::move(body);
    HttpResponse out;
    loop_.run(keep(std::move(made), out));
    return out;
  }
  HttpResponse call_at(std::string method, std::string target) {
    HttpResponse out;
    loop_.run(keep(request(std::move(method), std::move(target)), out));
    return out;
  }
  HttpRequest request(std::string method, std::string target) const {
    HttpRequest made;
    made.head.method = std::move(method);
    made.head.target = std::move(target);
    if (!key_.empty()) made.head.headers.add("Salad-Api-Key", key_);
    return made;
  }
  Task<Result<>> keep(HttpRequest request, HttpResponse& out) {
    out = co_await cloud_->handle_api(std::move(request));
    co_return Result<>();
  }
  static json::object read(const HttpResponse& response) {
    const auto value = parse_json(response.body);
    EXPECT_TRUE(value && value->is_object()) << response.body;
    return value && value->is_object() ? value->get_object() : json::object();
  }
  static std::string type_of(const HttpResponse& response) {
    EXPECT_EQ(response.headers.find("Content-Type"), "application/problem+json");
    return std::string(read(response)["type"].as_string());
  }

  VirtualLoop loop_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> real_ = store::open_sqlite({}, cloud_migrations()).value();
  std::unique_ptr<store::Database> logs_ = store::open_sqlite({}, log_migrations()).value();
  MoodyDatabase database_{*real_};
  std::unique_ptr<Cloud> cloud_;
  std::string key_;
  std::string second_key_;  // of the same organization
};

constexpr std::string_view kCreate = R"({"name": "ocr", "replicas": 2, "autostart_policy": false,
    "restart_policy": "always",
    "container": {"image": "i", "resources": {"cpu": 1, "memory": 1024}}})";

TEST_F(CloudTest, KeysOpenTheirOwnOrganizationOnly) {
  EXPECT_EQ(call("GET", "acme/projects/web/containers").status, 200);
  EXPECT_EQ(type_of(call("GET", "other/quotas")), "forbidden");
  EXPECT_EQ(type_of(call("GET", "nobody/quotas")), "not_found");
  EXPECT_EQ(type_of(call("GET", "acme/projects/none/containers")), "not_found");
  key_ = "wrong";
  EXPECT_EQ(call("GET", "acme/quotas").status, 401);
  key_.clear();
  EXPECT_EQ(type_of(call("GET", "acme/quotas")), "unauthorized");
}

TEST_F(CloudTest, AGroupLivesAndItsNameDiesWithIt) {
  const HttpResponse made = call("POST", "acme/projects/web/containers", std::string(kCreate));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.headers.find("Location"), "/organizations/acme/projects/web/containers/ocr");
  EXPECT_EQ(type_of(call("POST", "acme/projects/web/containers", std::string(kCreate))),
            "name_conflict");
  const HttpResponse patched =
      call("PATCH", "acme/projects/web/containers/ocr", R"({"replicas": 3})", {{"Accept", "*/*"}});
  EXPECT_EQ(patched.status, 200);
  EXPECT_EQ(patched.headers.find("Content-Type"), "application/merge-patch+json");
  EXPECT_EQ(read(patched)["replicas"].as_int64(), 3);
  EXPECT_EQ(call("POST", "acme/projects/web/containers/ocr/start", "{}").status, 202);
  EXPECT_EQ(read(call("GET", "acme/projects/web/containers/ocr"))["current_state"]
                .at("status")
                .as_string(),
            "deploying");
  EXPECT_EQ(call("DELETE", "acme/projects/web/containers/ocr").status, 202);
  EXPECT_EQ(type_of(call("GET", "acme/projects/web/containers/ocr")), "not_found");
  const HttpResponse again = call("POST", "acme/projects/web/containers", std::string(kCreate));
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(type_of(again), "name_conflict");
}

TEST_F(CloudTest, BadBodiesChangeNothing) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  for (const char* body : {"", "[", "[]", "null", R"({"name": 1})"}) {
    const HttpResponse refused = call("POST", "acme/projects/web/containers", body);
    EXPECT_EQ(refused.status, 400) << body;
    EXPECT_EQ(type_of(refused), "invalid_request") << body;
  }
  for (const char* body : {"[]", R"({"replicas": -1})", R"({"name": "b2"})"}) {
    EXPECT_EQ(call("PATCH", "acme/projects/web/containers/ocr", body).status, 400) << body;
  }
  EXPECT_EQ(call("POST", "acme/projects/web/containers/ocr/start", "[1]").status, 400);
  const json::object group = read(call("GET", "acme/projects/web/containers/ocr"));
  EXPECT_EQ(group.at("replicas").as_int64(), 2);
  EXPECT_EQ(group.at("version").as_int64(), 1);
  EXPECT_EQ(group.at("current_state").at("status").as_string(), "stopped");
}

TEST_F(CloudTest, WhatThisVersionCannotDoIsRefusedByName) {
  const json::value create = parse_json(kCreate).value();
  for (const char* patch :
       {R"({"queue_connection": {"queue_name": "jobs", "port": 80, "path": "/"}})",
        R"({"scheduled-scaling-enabled": true})"}) {
    const json::value body = merge_patch(create, parse_json(patch).value());
    const HttpResponse refused =
        call("POST", "acme/projects/web/containers", json::serialize(body));
    EXPECT_EQ(refused.status, 400);
    EXPECT_NE(refused.body.find("not supported"), std::string::npos) << refused.body;
  }
}

TEST_F(CloudTest, TooManyCallsOfAKeyAreToldWhenToComeBack) {
  HttpResponse last;
  int passed = 0;
  for (int i = 0; i < 300; ++i) {
    last = call("GET", "acme/gpu-classes");
    if (last.status == 200) ++passed;
  }
  EXPECT_EQ(passed, 240);
  EXPECT_EQ(last.status, 429);
  EXPECT_EQ(type_of(last), "rate_limited");
  EXPECT_TRUE(last.headers.has("Retry-After"));
}

// By kind and by key: who follows logs too fast can still see events, and others see both.
TEST_F(CloudTest, ActivityHasALimitOfItsOwnForEachKindAndKey) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  const std::string path = "/api/mesclun/organizations/acme/projects/web/containers/ocr/";
  HttpResponse last;
  int passed = 0;
  for (int i = 0; i < 700; ++i) {
    last = call_at("GET", path + "logs");
    if (last.status == 200) ++passed;
  }
  EXPECT_EQ(passed, 600);
  EXPECT_EQ(type_of(last), "rate_limited");
  EXPECT_TRUE(last.headers.has("Retry-After"));
  EXPECT_EQ(call_at("GET", path + "events").status, 200);
  EXPECT_EQ(call("GET", "acme/projects/web/containers").status, 200);
  key_ = second_key_;
  EXPECT_EQ(call_at("GET", path + "logs").status, 200);
}

TEST_F(CloudTest, CallsThatWaitForActivityAreBoundedByKey) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  const std::string path = "/api/mesclun/organizations/acme/projects/web/containers/ocr/logs";
  std::vector<HttpResponse> answers(70);
  Scope followers(loop_.executor(), "followers");
  for (HttpResponse& answer : answers) {
    followers.spawn(keep(request("GET", path + "?after=0&wait=30"), answer));
  }
  loop_.clock.run_for(1s);
  EXPECT_EQ(followers.running(), 64u);
  EXPECT_EQ(std::ranges::count(answers, 429, &HttpResponse::status), 6);
  key_ = second_key_;
  EXPECT_EQ(call_at("GET", path).status, 200);
  loop_.clock.run_for(30s);
  EXPECT_EQ(followers.running(), 0u);
}

TEST_F(CloudTest, SystemEventsAreFoundInTheLogOnce) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  ASSERT_EQ(call("POST", "acme/projects/web/containers/ocr/start").status, 202);
  loop_.clock.run_for(1s);
  const auto ask = [&](std::string_view more, std::string_view query) {
    const std::string now = format_rfc3339(loop_.clock.wall_now());
    const std::string ago = format_rfc3339(loop_.clock.wall_now() - 1h);
    return call("POST", "acme/log-entries",
                fmt::format(R"({{"start_time":"{}","end_time":"{}","query":"{}"{}}})", ago, now,
                            query, more));
  };
  const HttpResponse found = ask("", "resource.type=deployment_controller");
  ASSERT_EQ(found.status, 200) << found.body;
  const json::object page = read(found);
  EXPECT_EQ(page.at("organization_name"), "acme");
  ASSERT_EQ(page.at("items").as_array().size(), 1u) << found.body;
  const json::object entry = page.at("items").as_array()[0].as_object();
  EXPECT_EQ(entry.at("text_log"), "Container Group Started");
  EXPECT_EQ(entry.at("resource").at("labels"),
            (json::object{{"project_name", "web"}, {"container_group_name", "ocr"}}));
  EXPECT_EQ(page.at("page_min_time"), entry.at("time"));
  EXPECT_EQ(read(ask(R"(,"sort_order":"asc","page_size":1)", "")).at("items").as_array().size(),
            1u);
  EXPECT_EQ(read(ask("", "log contains nothing")).at("items").as_array().size(), 0u);
  EXPECT_EQ(ask(R"(,"page_size":101)", "").status, 400);
  EXPECT_EQ(ask(R"(,"page_size":0)", "").status, 400);
  EXPECT_EQ(ask(R"(,"sort_order":"up")", "").status, 400);
  const HttpResponse wrong = ask("", "severity >");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(read(wrong).at("detail"),
            "/query: query, character 11: expected a value, the query ends");
  EXPECT_EQ(call("GET", "acme/log-entries").status, 405);
  EXPECT_EQ(call("POST", "other/log-entries", "{}").status, 403);
}

TEST_F(CloudTest, ALogQueryHasATimeThatIsKept) {
  const auto ask = [&](Duration from, Duration to) {
    const auto at = [&](Duration when) { return format_rfc3339(loop_.clock.wall_now() + when); };
    return call(
               "POST", "acme/log-entries",
               fmt::format(R"({{"start_time":"{}","end_time":"{}","query":""}})", at(from), at(to)))
        .status;
  };
  constexpr auto kDay = std::chrono::hours(24);
  EXPECT_EQ(ask(-1h, 0h), 200);
  EXPECT_EQ(ask(-90 * kDay, 0h), 200);
  EXPECT_EQ(ask(-91 * kDay, 0h), 400);
  EXPECT_EQ(ask(-1h, 1h), 400) << "the future";
  EXPECT_EQ(ask(-1h, -1h), 400);
  EXPECT_EQ(ask(-1h, -2h), 400);
  EXPECT_EQ(
      call("POST", "acme/log-entries", R"({"start_time":"x","end_time":"y","query":""})").status,
      400);
  EXPECT_EQ(call("POST", "acme/log-entries", "{}").status, 400);
}

TEST_F(CloudTest, AFailedCommitIsUnavailableAndLeavesNothing) {
  database_.broken = true;
  EXPECT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 503);
  database_.broken = false;
  EXPECT_EQ(call("GET", "acme/projects/web/containers/ocr").status, 404);
  EXPECT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201)
      << "the name is still free";
}

// A node that runs whatever it is told.
Task<Result<>> obedient_node(link::Session& session, std::string machine_id, bool& welcomed) {
  link::Hello hello{.machine_id = machine_id, .node_secret = "sixteen letters or more"};
  hello.join_token = "join";
  hello.facts.country = "us";
  hello.facts.cpu = 4;
  hello.facts.memory_mb = 8192;
  hello.facts.storage_mb = 100'000;
  const link::Message first = hello;
  CO_TRY_DO(session.send(first));
  while (true) {
    CO_TRY(const link::Message said, co_await session.receive());
    link::Report report;
    if (std::holds_alternative<link::Welcome>(said)) {
      welcomed = true;
    } else if (const auto* desired = std::get_if<link::Desired>(&said)) {
      report.revision = desired->revision;
      for (const link::Assignment& assignment : desired->assignments) {
        const link::ReplicaWish& wish = assignment.wish;
        link::ReplicaStatus status{
            .instance_id = assignment.instance_id, .version = wish.version, .run = wish.run};
        status.state = wish.stop ? link::RunState::Ended : link::RunState::Running;
        status.outcome = wish.stop ? link::RunOutcome::Stopped : link::RunOutcome::None;
        status.started = status.ready = !wish.stop;
        report.instances.push_back({assignment.allocation_id, status});
      }
    } else {
      continue;
    }
    const link::Message answer = std::move(report);
    CO_TRY_DO(session.send(answer));
  }
}

class CloudWithNode : public CloudTest {
 protected:
  CloudWithNode() : scope_(loop_.executor(), "node") {
    auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
    session_ = std::move(ours);
    cloud_->serve_agent(std::move(theirs));
    scope_.spawn(obedient_node(*session_, machine_id_, welcomed_));
    loop_.clock.run_ready();
  }
  ~CloudWithNode() override {
    session_->close();
    scope_.cancel();
    loop_.clock.run_ready();
  }
  json::object first_instance() {
    const json::object list = read(call("GET", "acme/projects/web/containers/ocr/instances"));
    return list.at("instances").as_array().at(0).as_object();
  }

  std::string machine_id_ = "11111111-1111-4111-8111-111111111111";
  bool welcomed_ = false;
  link::SessionPtr session_;
  Scope scope_;
};

TEST_F(CloudWithNode, InstancesAreListedChangedAndMoved) {
  ASSERT_TRUE(welcomed_);
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  ASSERT_EQ(call("POST", "acme/projects/web/containers/ocr/start").status, 202);
  loop_.clock.run_for(1s);
  const json::object list = read(call("GET", "acme/projects/web/containers/ocr/instances"));
  ASSERT_EQ(list.at("instances").as_array().size(), 2u);
  const json::object instance = first_instance();
  EXPECT_EQ(instance.at("state").as_string(), "running");
  EXPECT_EQ(instance.at("machine_id").as_string(), machine_id_);
  const std::string path = "acme/projects/web/containers/ocr/instances/";
  const std::string id(instance.at("id").as_string());
  EXPECT_EQ(call("GET", path + machine_id_).status, 200) << "a machine id will do";
  EXPECT_EQ(read(call("PATCH", path + id, R"({"deletion_cost": 9})"))["deletion_cost"].as_int64(),
            9);
  EXPECT_EQ(call("PATCH", path + id, R"({"ready": true})").status, 400);
  EXPECT_EQ(call("POST", path + id + "/reallocate").status, 202);
  EXPECT_EQ(call("POST", path + std::string(kNilUuid) + "/restart").status, 404);
  loop_.clock.run_for(1s);
  EXPECT_EQ(call("GET", path + id).status, 404) << "gone from its node; no other one is there";
}

TEST_F(CloudWithNode, StatsAreWhatTheNodeSaysOfItsInstances) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  ASSERT_EQ(call("POST", "acme/projects/web/containers/ocr/start").status, 202);
  loop_.clock.run_for(1s);
  const std::string project = "/api/mesclun/organizations/acme/projects/web/";
  const std::string id(first_instance().at("id").as_string());
  link::Usage usage;
  usage.instances.push_back({.instance_id = id, .cpu_cores = 0.5, .memory_bytes = 1000});
  ASSERT_TRUE(session_->send(usage));
  loop_.clock.run_for(1s);
  const json::object all = read(call_at("GET", project + "stats"));
  ASSERT_EQ(all.at("items").as_array().size(), 2u);
  const json::object known = read(call_at("GET", project + "containers/ocr/stats"));
  for (const json::value& item : known.at("items").as_array()) {
    const bool placed = item.at("instance_id").as_string() == id;
    EXPECT_EQ(item.at("cpu_cores"), placed ? json::value(0.5) : json::value(nullptr));
    EXPECT_EQ(item.at("memory_bytes"), placed ? json::value(1000) : json::value(nullptr));
    EXPECT_TRUE(item.at("requests_per_second").is_null()) << "no gateway is there";
  }
  EXPECT_EQ(call_at("GET", project + "containers/nobody/stats").status, 404);
  EXPECT_EQ(call_at("POST", project + "stats").status, 405);
}

TEST_F(CloudWithNode, ActionsHaveAQuotaAMinute) {
  ASSERT_EQ(call("POST", "acme/projects/web/containers", std::string(kCreate)).status, 201);
  ASSERT_EQ(call("POST", "acme/projects/web/containers/ocr/start").status, 202);
  loop_.clock.run_for(1s);
  const std::string path = "acme/projects/web/containers/ocr/instances/" + machine_id_ + "/restart";
  int accepted = 0;
  HttpResponse last;
  for (int i = 0; i < 12; ++i) {
    last = call("POST", path);
    if (last.status == 202) ++accepted;
  }
  EXPECT_EQ(accepted, 10);
  EXPECT_EQ(last.status, 429);
  EXPECT_EQ(type_of(last), "rate_limited");
}

TEST_F(CloudTest, AStrangerIsToldWhyAndSentAway) {
  auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
  cloud_->serve_agent(std::move(theirs));
  struct Stranger {
    static Task<Result<>> knock(link::Session& session) {
      link::Hello hello{.machine_id = "11111111-1111-4111-8111-111111111111",
                        .node_secret = "sixteen letters or more",
                        .join_token = "guess"};
      hello.facts.cpu = 1;
      hello.facts.memory_mb = 1;
      const link::Message first = hello;
      CO_TRY_DO(session.send(first));
      CO_TRY(const link::Message said, co_await session.receive());
      const auto* goodbye = std::get_if<link::Goodbye>(&said);
      EXPECT_NE(goodbye, nullptr);
      if (goodbye != nullptr) EXPECT_EQ(goodbye->code, to_string(ErrorCode::Unauthenticated));
      co_return Result<>();
    }
  };
  loop_.run(Stranger::knock(*ours));
}

TEST(WorkloadKeys, TheOlderOfTwoSignsAndBothRotateWeekly) {
  const WallTime start = from_unix_nanos(1'800'000'000'000'000'000);
  auto keys = rotate_keys({}, start).value();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_LT(keys[0].created, keys[1].created);
  EXPECT_EQ(rotate_keys(keys, start + 1min).value().size(), 2u);
  const auto later = rotate_keys(keys, start + kWorkloadKeyRotation).value();
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0].kid, keys[1].kid) << "the younger one signs now";
}

TEST(WorkloadKeys, ATokenIsShortEnoughForPublishedClients) {
  const auto keys = rotate_keys({}, from_unix_nanos(1'800'000'000'000'000'000)).value();
  const TokenClaims claims{.issuer = "https://matrix-api.salad.io",
                           .machine_id = std::string(36, 'm'),
                           .group_id = std::string(36, 'g'),
                           .group_name = std::string(63, 'n'),
                           .organization_id = std::string(36, 'o'),
                           .organization_name = std::string(63, 'p'),
                           .token_id = std::string(36, 't')};
  const std::string token = sign_token(keys[0], claims, keys[1].created).value();
  EXPECT_LE(token.size(), 1000u);
  EXPECT_EQ(std::ranges::count(token, '.'), 2);
  EXPECT_EQ(key_set(keys).value().at("keys").as_array().size(), 2u);
}

}  // namespace
}  // namespace mesclun::cloud
