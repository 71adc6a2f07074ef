// Who gets the right to pull what: a whole cloud, sessions of nodes, a registry of our own.
#include "cloud/pull_grants.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "cloud/cloud.h"
#include "cloud/schema.h"
#include "registry/fake_registry.h"

namespace mesclun::cloud {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kGroups = "/api/public/organizations/acme/projects/web/containers";

class PullGrantsTest : public testing::Test {
 protected:
  PullGrantsTest() : registry_(loop_.executor(), loop_.clock) {
    EXPECT_TRUE(registry_.begin());
    CloudSettings settings;
    settings.nodes.join_token = "join";
    settings.nodes.tunnel_secret = settings.gateways.tunnel_secret = "tunnel";
    settings.gateways.gateway_token = "gateway";
    settings.private_addresses = true;
    cloud_ = std::make_unique<Cloud>(loop_.executor(), loop_.clock, random_, *database_, *logs_,
                                     settings);
    loop_.run(set_up());
  }
  ~PullGrantsTest() override { loop_.run(tear_down()); }

  Task<Result<>> set_up() {
    CO_TRY_DO(co_await cloud_->start());
    CO_TRY(const auto acme, co_await cloud_->accounts().create_organization("acme", ""));
    CO_TRY(const auto web, co_await cloud_->accounts().create_project(acme.id, "web"));
    std::vector<std::string> organizations(1, acme.id);
    CO_TRY(const auto key,
           co_await cloud_->accounts().create_key("ann", std::move(organizations), false));
    key_ = key.secret;
    co_return Result<>();
  }
  Task<Result<>> tear_down() {
    for (auto& node : nodes_) node->close();
    co_await cloud_->stop();
    co_await registry_.stop();
    co_return Result<>();
  }

  Task<Result<std::string>> call(std::string method, std::string target, std::string body,
                                 int status) {
    HttpRequest request{.body = std::move(body)};
    request.head.method = std::move(method);
    request.head.target = std::move(target);
    request.head.headers.add("Salad-Api-Key", key_);
    const HttpResponse answer = co_await cloud_->handle_api(std::move(request));
    EXPECT_EQ(answer.status, status) << answer.body;
    co_return answer.body;
  }
  Task<Result<std::string>> create(std::string name, std::string login, bool autostart = true) {
    std::string body = fmt::format(
        R"({{"name": "{}", "replicas": 1, "autostart_policy": {}, "restart_policy": "always",
            "container": {{"image": "{}/team/app:1", "resources": {{"cpu": 1, "memory": 1024}}{}{}}}}})",
        name, autostart, registry_.address,
        login.empty() ? "" : ", \"registry_authentication\": ", login);
    CO_TRY(const std::string made,
           co_await call("POST", std::string(kGroups), std::move(body), 201));
    CO_TRY(const json::value group, parse_json(made));
    co_return std::string(group.at("id").as_string());
  }
  Task<Result<std::string>> patch(std::string name, std::string container) {
    return call("PATCH", fmt::format("{}/{}", kGroups, name),
                fmt::format(R"({{"container": {}}})", container), 200);
  }

  Task<Result<link::Session*>> join(int number) {
    auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
    cloud_->serve_agent(std::move(theirs));
    link::Hello hello{.machine_id = fmt::format("11111111-1111-4111-8111-{:012}", number),
                      .node_secret = "sixteen letters or more",
                      .join_token = "join"};
    hello.facts = {.cpu = 64, .memory_mb = 262'144, .storage_mb = 1'000'000};
    CO_TRY_DO(ours->send(hello));
    CO_TRY_DO(ours->send(link::KnownSpecs{}));
    CO_TRY_DO(ours->send(link::Report{}));
    nodes_.push_back(std::move(ours));
    co_return nodes_.back().get();
  }
  // The next message of that kind; keeps the text of all that comes.
  template <class T>
  Task<Result<T>> hear(link::Session& node) {
    while (true) {
      CO_TRY(link::Message message, co_await node.receive());
      heard_ += link::encode(message);
      if (auto* found = std::get_if<T>(&message)) co_return std::move(*found);
    }
  }
  Task<Result<link::PullReply>> ask(link::Session& node, std::string group_id,
                                    int32_t version = 1) {
    const link::PullRequest request{.spec = {std::move(group_id), version}};
    CO_TRY_DO(node.send(request));
    co_return co_await hear<link::PullReply>(node);
  }
  Task<Result<int64_t>> logins() {
    auto count = std::make_shared<int64_t>(0);
    store::Body body = [count](store::Transaction& tx) -> Result<> {
      TRY(const auto rows, tx.query("SELECT COUNT(*) FROM registry_login"));
      *count = rows[0].integer(0);
      return {};
    };
    CO_TRY_DO(co_await database_->read(std::move(body)));
    co_return *count;
  }

  static constexpr const char* kLogin = R"({"basic": {"username": "u", "password": "right"}})";

  RealLoop loop_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, cloud_migrations()).value();
  std::unique_ptr<store::Database> logs_ = store::open_sqlite({}, log_migrations()).value();
  registry::FakeRegistry registry_;
  std::unique_ptr<Cloud> cloud_;
  std::string key_;
  std::vector<link::SessionPtr> nodes_;
  std::string heard_;

 public:
  Task<Result<>> a_node_gets_a_token() {
    CO_TRY(link::Session* const node, co_await join(1));
    CO_TRY(const std::string id, co_await create("ocr", kLogin));
    CO_TRY(const link::Desired first, co_await hear<link::Desired>(*node));
    while (heard_.find("allocation_id") == std::string::npos) {
      CO_TRY(const link::Desired next, co_await hear<link::Desired>(*node));
    }
    CO_TRY(const link::PullReply reply, co_await ask(*node, id));
    EXPECT_EQ(reply.refusal, "");
    EXPECT_EQ(reply.kind, link::PullKind::Token);
    EXPECT_EQ(reply.secret, "pull-token");
    EXPECT_EQ(reply.registry, registry_.address);
    EXPECT_THAT(heard_, Not(HasSubstr("right"))) << "the node never hears the password";
    CO_TRY(const std::string shown, co_await call("GET", fmt::format("{}/ocr", kGroups), "", 200));
    EXPECT_THAT(shown, Not(HasSubstr("right")));

    CO_TRY(link::Session* const other, co_await join(2));
    CO_TRY(const link::PullReply refused, co_await ask(*other, id));
    EXPECT_EQ(refused.refusal_code, "not_found");
    EXPECT_EQ(refused.secret, "");
    CO_TRY(const link::PullReply unknown, co_await ask(*node, id, 7));
    EXPECT_EQ(unknown.refusal_code, "not_found");
    CO_TRY(const link::PullReply nobody, co_await ask(*node, "no-such-group"));
    EXPECT_EQ(nobody.refusal_code, "not_found");
    co_return Result<>();
  }

  Task<Result<>> patches_replace_and_remove() {
    CO_TRY(link::Session* const node, co_await join(1));
    CO_TRY(const std::string id,
           co_await create("ocr", R"({"basic": {"username": "u", "password": "wrong"}})"));
    while (heard_.find("allocation_id") == std::string::npos) {
      CO_TRY(const link::Desired next, co_await hear<link::Desired>(*node));
    }
    CO_TRY(const link::PullReply refused, co_await ask(*node, id));
    EXPECT_EQ(refused.refusal_code, "permission_denied");
    EXPECT_THAT(refused.refusal, HasSubstr("refuses the credentials: 401"));

    CO_TRY(const std::string patched,
           co_await patch("ocr", fmt::format(R"({{"registry_authentication": {}}})", kLogin)));
    EXPECT_THAT(patched, HasSubstr(R"("version":1)")) << "they are part of no version";
    CO_TRY(const link::PullReply granted, co_await ask(*node, id));
    EXPECT_EQ(granted.kind, link::PullKind::Token);

    // An image elsewhere does not get them.
    CO_TRY(const std::string moved, co_await patch("ocr", R"({"image": "ghcr.io/team/app:2"})"));
    CO_TRY(const link::PullReply elsewhere, co_await ask(*node, id, 2));
    EXPECT_EQ(elsewhere.kind, link::PullKind::Nothing);
    EXPECT_EQ(elsewhere.refusal, "");

    CO_TRY(const std::string removed,
           co_await patch("ocr", R"({"registry_authentication": null})"));
    CO_TRY(const int64_t left, co_await logins());
    EXPECT_EQ(left, 0);
    co_return Result<>();
  }

  Task<Result<>> secrets_go_with_the_group() {
    CO_TRY(const std::string id, co_await create("ocr", kLogin, false));
    CO_TRY(const int64_t before, co_await logins());
    EXPECT_EQ(before, 1);
    CO_TRY(const std::string gone,
           co_await call("DELETE", fmt::format("{}/ocr", kGroups), "", 202));
    CO_TRY_DO(co_await loop_.clock.sleep_for(1ms));
    CO_TRY_DO(co_await cloud_->fleet_loop().settled());
    CO_TRY(const int64_t after, co_await logins());
    EXPECT_EQ(after, 0);

    for (int i = 0; i < 2 * kLoginsMax; ++i) {
      const RegistryLogin login{.group_id = "g",
                                .registry = fmt::format("r{}", i),
                                .secrets = api::RegistryAuthentication{.user = "u"}};
      store::Body body = [login](store::Transaction& tx) { return save_login(tx, login); };
      CO_TRY_DO(co_await database_->write(std::move(body)));
    }
    CO_TRY(const int64_t many, co_await logins());
    EXPECT_EQ(many, kLoginsMax);
    co_return Result<>();
  }

  Task<Result<>> bad_ones_are_named() {
    CO_TRY(const std::string answer,
           co_await call("POST", std::string(kGroups),
                         R"({"name": "ocr", "replicas": 1, "autostart_policy": false,
                             "restart_policy": "always",
                             "container": {"image": "Not/An/Image", "resources": {"cpu": 1, "memory": 1024},
                               "registry_authentication": {"basic": {"username": "u", "password": "p"}}}})",
                         400));
    EXPECT_THAT(answer, HasSubstr("/container/image: 'Not/An/Image' does not name an image"));
    CO_TRY(const int64_t left, co_await logins());
    EXPECT_EQ(left, 0);
    co_return Result<>();
  }
};

TEST_F(PullGrantsTest, ANodeGetsATokenForWhatRunsThereAndNothingElse) {
  loop_.run(a_node_gets_a_token());
}
TEST_F(PullGrantsTest, APatchReplacesAndRemovesCredentials) {
  loop_.run(patches_replace_and_remove());
}
TEST_F(PullGrantsTest, CredentialsGoWithTheirGroupAndAreFew) {
  loop_.run(secrets_go_with_the_group());
}
TEST_F(PullGrantsTest, ABadImageNameIsSaidAtOnce) {
  loop_.run(bad_ones_are_named());
}

}  // namespace
}  // namespace mesclun::cloud
