// What two callers change at once: neither loses the other's.
#include "cloud/accounts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "cloud/route_hub.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

// A commit takes a while, in which others come; the order stays.
class SlowDatabase final : public store::Database {
 public:
  SlowDatabase(store::Database& real, Clock& clock) : real_(real), clock_(clock) {}
  Task<Result<>> write(store::Body body) override {
    CO_TRY_DO(co_await clock_.sleep_for(10ms));
    const Result<> written = co_await real_.write(std::move(body));
    CO_TRY_DO(co_await clock_.sleep_for(10ms));
    co_return written;
  }
  Task<Result<>> read(store::Body body) override { return real_.read(std::move(body)); }

 private:
  store::Database& real_;
  Clock& clock_;
};

struct Nobody final : FleetListener {
  void send_desired(const std::string&, int64_t, const link::Desired&) override {}
  void acknowledge(const std::string&, int64_t, int64_t) override {}
  void publish(const std::set<std::string>&) override {}
  void events_added(const std::set<std::string>&) override {}
};

class AccountsTest : public testing::Test {
 protected:
  // Runs all of them at once, to their ends.
  void at_once(std::vector<Task<Result<>>> tasks) {
    Scope scope(loop_.executor(), "callers");
    for (auto& task : tasks) scope.spawn(std::move(task));
    EXPECT_TRUE(loop_.clock.run_while_not([&] { return scope.running() == 0; }, 1min));
  }
  Task<Result<>> make(std::string name, std::vector<Result<Organization>>& out) {
    out.push_back(co_await accounts_.create_organization(std::move(name), ""));
    co_return Result<>();
  }
  Task<Result<>> change(std::string id, int32_t api::GroupQuotas::* quota, int32_t value) {
    CO_TRY(const Organization changed,
           co_await accounts_.change_quotas(
               std::move(id), [=](api::GroupQuotas& quotas) { quotas.*quota = value; }));
    EXPECT_EQ(changed.quotas.*quota, value);
    co_return Result<>();
  }

  Task<Result<>> make_key(std::string user, std::vector<std::string> organizations,
                          bool is_operator, std::vector<Result<Accounts::NewKey>>& out) {
    out.push_back(
        co_await accounts_.create_key(std::move(user), std::move(organizations), is_operator));
    co_return Result<>();
  }
  Task<Result<>> remove_key(std::string id, Result<>& out) {
    out = co_await accounts_.delete_key(std::move(id));
    co_return Result<>();
  }
  Task<Result<>> make_shown(std::string name, std::string shown, Result<>& out) {
    const Result<Organization> made =
        co_await accounts_.create_organization(std::move(name), std::move(shown));
    out = made ? Result<>() : Result<>(made.error());
    co_return Result<>();
  }

  VirtualLoop loop_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> real_ = store::open_sqlite({}, cloud_migrations()).value();
  SlowDatabase database_{*real_, loop_.clock};
  Accounts accounts_{loop_.clock, random_, database_};
};

TEST_F(AccountsTest, QuotasThatTwoCallersChangeAtOnceAreBothKept) {
  using Quotas = api::GroupQuotas;
  std::vector<Result<Organization>> made;
  loop_.run(make("acme", made));
  const std::string id = made.at(0).value().id;
  for (int32_t i = 1; i <= 200; ++i) {
    std::vector<Task<Result<>>> pair;
    pair.push_back(change(id, &Quotas::container_replicas_quota, i));
    pair.push_back(change(id, &Quotas::max_container_group_restarts_per_minute, 1'000 + i));
    at_once(std::move(pair));
    const Quotas& quotas = accounts_.organization(id)->quotas;
    ASSERT_EQ(quotas.container_replicas_quota, i);
    ASSERT_EQ(quotas.max_container_group_restarts_per_minute, 1'000 + i);
  }
  // And so the store has them.
  Accounts again(loop_.clock, random_, database_);
  loop_.run(again.load());
  EXPECT_EQ(again.organization(id)->quotas.container_replicas_quota, 200);
  EXPECT_EQ(again.organization(id)->quotas.max_container_group_restarts_per_minute, 1'200);
}

TEST_F(AccountsTest, OfTwoThatWantANameAtOnceOneGetsIt) {
  std::vector<Result<Organization>> made;
  std::vector<Task<Result<>>> pair;
  pair.push_back(make("acme", made));
  pair.push_back(make("acme", made));
  at_once(std::move(pair));
  ASSERT_EQ(made.size(), 2u);
  EXPECT_TRUE(made[0]);
  EXPECT_EQ(made[1].code(), ErrorCode::AlreadyExists);
  EXPECT_EQ(made[1].error().cause, Cause::NameConflict);
  EXPECT_EQ(accounts_.organizations().size(), 1u);
}

TEST_F(AccountsTest, GatewaysThatComeAtOnceAreAllRemembered) {
  Fleet fleet({}, random_);
  Nobody nobody;
  FleetLoop fleet_loop(loop_.executor(), loop_.clock, database_, fleet, nobody);
  UsageTable usage;
  std::vector<std::string> told;
  {
    RouteHub hub(loop_.executor(), loop_.clock, {.gateway_token = "gateway"}, fleet, fleet_loop,
                 accounts_, database_, usage,
                 [&](std::vector<std::string> all) { told = std::move(all); });
    std::vector<link::SessionPtr> gateways;
    for (int i = 0; i < 8; ++i) {
      auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
      hub.serve(std::move(theirs));
      link::GatewayHello hello{.name = fmt::format("g{}", i), .gateway_token = "gateway"};
      hello.tunnel_endpoint = fmt::format("10.0.0.{}:8804", i);
      ASSERT_TRUE(ours->send(hello));
      gateways.push_back(std::move(ours));
    }
    loop_.clock.run_for(1s);
    EXPECT_EQ(told.size(), 8u);
    Scope scope(loop_.executor(), "end");
    scope.spawn([](RouteHub& ending) -> Task<Result<>> {
      co_await ending.stop();
      co_return Result<>();
    }(hub));
    loop_.clock.run_for(1s);
  }
  told.clear();
  RouteHub again(loop_.executor(), loop_.clock, {}, fleet, fleet_loop, accounts_, database_, usage,
                 [&](std::vector<std::string> all) { told = std::move(all); });
  loop_.run(again.load());
  EXPECT_EQ(told.size(), 8u);
}

TEST_F(AccountsTest, TheOperatorsKeyCannotBeDeleted) {
  std::vector<Result<Accounts::NewKey>> made;
  loop_.run(make_key("operator", {}, true, made));
  loop_.run(make_key("ann", {"acme"}, false, made));
  Result<> removed;
  loop_.run(remove_key(made[0]->key.id, removed));
  EXPECT_EQ(removed.code(), ErrorCode::FailedPrecondition);
  EXPECT_NE(accounts_.find_key(made[0]->secret), nullptr);
  loop_.run(remove_key(made[1]->key.id, removed));
  EXPECT_TRUE(removed);
  EXPECT_EQ(accounts_.find_key(made[1]->secret), nullptr);
}

TEST_F(AccountsTest, AnOrganizationThatIsNamedTwiceIsKeptOnce) {
  std::vector<Result<Accounts::NewKey>> made;
  loop_.run(make_key("ann", {"b", "a", "b", "a"}, false, made));
  EXPECT_THAT(made[0]->key.organization_ids, testing::ElementsAre("a", "b"));
}

TEST_F(AccountsTest, WhatTerminalsShowIsBoundedAndMovesNoCursor) {
  std::vector<Result<Accounts::NewKey>> made;
  for (const std::string& text : {std::string(), std::string("a\x1b[31m"), std::string(256, 'x')}) {
    loop_.run(make_key(text, {"acme"}, false, made));
    EXPECT_EQ(made.back().code(), ErrorCode::InvalidArgument);
  }
  Result<> shown;
  loop_.run(make_shown("acme", "Acme\n", shown));
  EXPECT_EQ(shown.code(), ErrorCode::InvalidArgument);
  loop_.run(make_shown("acme", "Äcme & Söhne", shown));
  EXPECT_TRUE(shown);
}

}  // namespace
}  // namespace mesclun::cloud
