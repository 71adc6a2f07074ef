// Sessions of nodes and gateways with a whole cloud, in virtual time, over frames.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "api/gpu_class.h"
#include "base/race.h"
#include "base/test_loop.h"
#include "cloud/cloud.h"
#include "cloud/fleet_groups.h"
#include "cloud/schema.h"
#include "link/conversation.h"

namespace mesclun::cloud {
namespace {

using testing::ElementsAre;

constexpr std::string_view kSpec = R"({
  "name": "NAME", "replicas": 1, "autostart_policy": true, "restart_policy": "always",
  "networking": {"port": 80, "auth": false, "protocol": "http"},
  "container": {"image": "app", "command": ["app"], "resources": {"cpu": 1, "memory": 1024}}
})";

// Keeps writes waiting, or makes them fail, while told so.
class HeldDatabase final : public store::Database {
 public:
  HeldDatabase(const asio::any_io_executor& executor, store::Database& real)
      : changed_(executor), real_(real) {}
  Task<Result<>> write(store::Body body) override {
    ++waiting;
    while (held) CO_TRY_DO(co_await changed_.wait());
    --waiting;
    if (broken) co_return Error::unavailable("database: disk full");
    co_return co_await real_.write(std::move(body));
  }
  Task<Result<>> read(store::Body body) override { return real_.read(std::move(body)); }
  void let_go() {
    held = false;
    changed_.notify_all();
  }
  bool held = false;
  bool broken = false;
  int waiting = 0;

 private:
  Notify changed_;
  store::Database& real_;
};

std::string node_id(int number) {
  return fmt::format("11111111-1111-4111-8111-{:012}", number);
}

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() : ends_(loop_.executor(), "ends") { begin(); }
  ~SessionsTest() override {
    end();
    ends_.cancel();
    loop_.clock.run_ready();
  }

  void begin(CloudSettings settings = {}) {
    settings.nodes.join_token = "join";
    settings.nodes.tunnel_secret = settings.gateways.tunnel_secret = "tunnel";
    settings.gateways.gateway_token = "gateway";
    cloud_ = std::make_unique<Cloud>(loop_.executor(), loop_.clock, random_, database_, *logs_,
                                     settings);
    loop_.run(cloud_->start());
  }
  void end() {
    if (cloud_ == nullptr) return;
    database_.let_go();
    loop_.run(stop());
    cloud_.reset();
  }
  Task<Result<>> stop() {
    co_await cloud_->stop();
    co_return Result<>();
  }

  // One end of a session with the cloud; what it hears is kept.
  struct End {
    link::SessionPtr session;
    std::vector<link::Message> heard;
    bool open = true;
    std::optional<Duration> each;  // how long it takes over a message

    template <class T>
    std::vector<T> all() const {
      std::vector<T> out;
      for (const link::Message& message : heard) {
        if (const T* found = std::get_if<T>(&message)) out.push_back(*found);
      }
      return out;
    }
  };
  std::shared_ptr<End> dial_node(std::optional<Duration> each = {}) {
    return dial(each, [this](link::SessionPtr theirs) { cloud_->serve_agent(std::move(theirs)); });
  }
  std::shared_ptr<End> dial_gateway(std::optional<Duration> each = {}) {
    return dial(each,
                [this](link::SessionPtr theirs) { cloud_->serve_gateway(std::move(theirs)); });
  }
  template <class Serve>
  std::shared_ptr<End> dial(std::optional<Duration> each, Serve serve) {
    auto [ours, theirs] = link::memory_session_pair(loop_.executor(), loop_.clock);
    auto made = std::make_shared<End>();
    made->session = std::move(ours);
    made->each = each;
    serve(std::move(theirs));
    ends_.spawn(listen(made));
    return made;
  }
  Task<Result<>> listen(std::shared_ptr<End> at) {
    while (true) {
      Result<link::Message> message = co_await at->session->receive();
      if (!message) break;
      at->heard.push_back(*std::move(message));
      if (at->each) CO_TRY_DO(co_await loop_.clock.sleep_for(*at->each));
    }
    at->open = false;
    co_return Result<>();
  }

  std::shared_ptr<End> join(int number, std::vector<link::SpecName> knows = {}) {
    auto node = dial_node();
    say_hello(*node, number);
    EXPECT_TRUE(node->session->send(link::KnownSpecs{.specs = std::move(knows)}));
    EXPECT_TRUE(node->session->send(link::Report{}));
    run();
    return node;
  }
  void say_hello(End& node, int number) {
    link::Hello hello{.machine_id = node_id(number), .node_secret = "sixteen letters or more"};
    hello.join_token = "join";
    hello.facts = {.cpu = 64, .memory_mb = 262'144, .storage_mb = 1'000'000};
    EXPECT_TRUE(node.session->send(hello));
    run();
  }
  std::shared_ptr<End> join_gateway(std::string name = "gw", std::optional<Duration> each = {}) {
    auto gateway = dial_gateway(each);
    say_hello(*gateway, std::move(name));
    run();
    return gateway;
  }
  static void say_hello(End& gateway, std::string name) {
    link::GatewayHello hello{.name = std::move(name), .gateway_token = "gateway"};
    hello.tunnel_endpoint = hello.name + ":1";
    EXPECT_TRUE(gateway.session->send(hello));
  }

  void run(Duration length = 1ms) { loop_.clock.run_for(length); }
  Result<> submit(FleetLoop::Command command) {
    Result<> out;
    loop_.run(keep(std::move(command), out));
    return out;
  }
  // A node of its own, and gone again; whether it was let in.
  bool join_at_once() {
    auto node = dial_node();
    if (!node->session->send(link::Heartbeat{})) return false;
    run();
    // A heartbeat is no hello: who has a place is told so.
    const bool told = !node->all<link::Goodbye>().empty();
    node->session->close();
    run();
    return told;
  }
  Task<Result<>> make_key(std::optional<Accounts::NewKey>& out) {
    std::vector<std::string> organizations(1, "o");
    CO_TRY(out, co_await cloud_->accounts().create_key("ann", std::move(organizations), false));
    co_return Result<>();
  }
  Task<Result<>> keep(FleetLoop::Command command, Result<>& out) {
    out = co_await cloud_->fleet_loop().submit(std::move(command));
    co_return Result<>();
  }
  static api::GroupSpec spec(const std::string& name, size_t environment_bytes = 0) {
    std::string text(kSpec);
    text.replace(text.find("NAME"), 4, name);
    api::GroupSpec out =
        api::read_group_spec(parse_json(text).value(), api::known_gpu_classes()).value();
    for (size_t i = 0; environment_bytes > 0 && i < 30; ++i) {
      out.container.environment_variables[fmt::format("E{}", i)].assign(environment_bytes / 30,
                                                                        'x');
    }
    return out;
  }
  Result<> create(const std::string& name, size_t environment_bytes = 0) {
    return submit([made = spec(name, environment_bytes)](Fleet& fleet, Moment now) -> Result<> {
      TRY_DO(create_group(fleet, {"o", "org", "p", "project"}, made, 1'000'000, now));
      return {};
    });
  }
  const Group& group(const std::string& name) {
    return *cloud_->fleet().groups.find_named("p", name);
  }

  VirtualLoop loop_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> real_ = store::open_sqlite({}, cloud_migrations()).value();
  std::unique_ptr<store::Database> logs_ = store::open_sqlite({}, log_migrations()).value();
  HeldDatabase database_{loop_.executor(), *real_};
  std::unique_ptr<Cloud> cloud_;
  Scope ends_;
};

// Six groups of 30 x 32 KB, all legal: more than a frame takes, and than a queue.
TEST_F(SessionsTest, SpecsOfAnyNumberReachANodeEachOnce) {
  const auto node = join(1);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(create(fmt::format("g{}", i), 30 * 32'768));
  run(1s);
  EXPECT_TRUE(node->open);
  std::set<link::SpecName> told;
  for (const link::Spec& one : node->all<link::Spec>()) {
    EXPECT_TRUE(told.insert(one.name()).second) << "once";
  }
  EXPECT_EQ(told.size(), 12u);
  const auto desired = node->all<link::Desired>();
  ASSERT_FALSE(desired.empty());
  EXPECT_EQ(desired.back().assignments.size(), 12u);
  for (const link::Assignment& assignment : desired.back().assignments) {
    EXPECT_TRUE(told.contains(assignment.spec().value()));
  }
}

TEST_F(SessionsTest, ANodeIsNotToldWhatItKnowsNorASpecForWhatStops) {
  join(1)->session->close();
  ASSERT_TRUE(create("aa"));
  ASSERT_TRUE(create("bb"));
  const auto node = join(1, {{group("aa").id, 1}});
  run(1s);
  ASSERT_EQ(node->all<link::Spec>().size(), 1u);
  EXPECT_EQ(node->all<link::Spec>()[0].group.group_name, "bb");
  EXPECT_EQ(node->all<link::Desired>().back().assignments.size(), 2u);
  // Back again while both are to stop.
  node->session->close();
  run();
  for (const char* name : {"aa", "bb"}) {
    ASSERT_TRUE(submit(
        [id = group(name).id](Fleet& fleet, Moment now) { return stop_group(fleet, id, now); }));
  }
  const auto again = join(1);
  run(1s);
  EXPECT_TRUE(again->all<link::Spec>().empty());
  const auto desired = again->all<link::Desired>();
  ASSERT_FALSE(desired.empty());
  ASSERT_EQ(desired.back().assignments.size(), 2u);
  for (const auto& a : desired.back().assignments) EXPECT_TRUE(a.wish.stop);
}

TEST_F(SessionsTest, AStrangerHoldsOneOfFewPlaces) {
  end();
  CloudSettings settings;
  settings.nodes.strangers = {.all = 3, .of_address = 3};
  begin(settings);
  const std::vector<std::shared_ptr<End>> silent = {dial_node(), dial_node(), dial_node()};
  run();
  EXPECT_FALSE(join_at_once()) << "all places are taken";
  run(link::kFirstWordsMax + 1s);
  for (const auto& one : silent) EXPECT_FALSE(one->open) << "they had their time";
  EXPECT_TRUE(join_at_once());
  // Whoever is known takes no place.
  std::vector<std::shared_ptr<End>> nodes;
  for (int i = 10; i < 20; ++i) {
    nodes.push_back(join(i));
    EXPECT_TRUE(nodes.back()->open) << i;
  }
}

// ---- gateways ----

// A route table as the gateway makes it of what it hears.
struct Heard {
  std::map<std::string, link::Route> routes;
  std::set<std::string> keys;
  size_t completes = 0;
  size_t heaviest = 0;
};
Heard heard_by(const std::vector<link::RouteUpdate>& updates) {
  Heard out;
  for (const link::RouteUpdate& update : updates) {
    out.heaviest = std::max(out.heaviest, link::encode(update).size());
    for (const auto& gone : update.hosts_gone) out.routes.erase(gone);
    for (const auto& route : update.routes) out.routes[route.dns] = route;
    for (const auto& gone : update.keys_gone) out.keys.erase(gone);
    for (const auto& key : update.keys) out.keys.insert(key.key_sha256);
    if (update.complete) ++out.completes;
  }
  return out;
}

// 60,000 groups and 20,000 keys, with a gateway that takes its time.
TEST_F(SessionsTest, AGatewayHearsOfEverythingInParts) {
  constexpr int kGroups = 60'000;
  constexpr int kKeys = 20'000;
  end();
  const int64_t today = to_unix_nanos(loop_.clock.wall_now());
  store::Body rows = [today](store::Transaction& tx) -> Result<> {
    const api::GroupSpec any = spec("any");
    for (int i = 0; i < kGroups; ++i) {
      Group made{.id = node_id(i), .organization_id = "o", .project_id = "p"};
      made.spec = any;
      made.spec.name = fmt::format("g{}", i);
      made.dns = made.spec.name + ".localhost";
      if (i % 2 == 1) made.delete_time = today;
      TRY_DO(tx.execute("INSERT INTO container_group VALUES ($1, $2, $3, $4)",
                        {made.id, made.project_id, made.spec.name, to_json_text(made)}));
    }
    for (int i = 0; i < kKeys; ++i) {
      const ApiKey key{.id = std::to_string(i),
                       .user = "u",
                       .key_sha256 = fmt::format("{:064}", i),
                       .organization_ids = {"o"}};
      TRY_DO(tx.execute("INSERT INTO api_key VALUES ($1, $2, $3)",
                        {key.id, key.key_sha256, to_json_text(key)}));
    }
    return {};
  };
  loop_.run(real_->write(std::move(rows)));
  begin();
  const auto gateway = join_gateway("gw", 1ms);
  run(15s);
  EXPECT_TRUE(gateway->open);
  const Heard heard = heard_by(gateway->all<link::RouteUpdate>());
  EXPECT_EQ(heard.completes, 1u);
  EXPECT_EQ(heard.routes.size(), size_t{kGroups});
  EXPECT_EQ(heard.keys.size(), size_t{kKeys});
  EXPECT_LE(heard.heaviest, link::kPartBytesMax);
}

TEST_F(SessionsTest, ChangesOfRoutesAndKeysFollowAndWhatIsGoneIsSaid) {
  const auto gateway = join_gateway();
  ASSERT_TRUE(create("aa"));
  std::optional<Accounts::NewKey> key;
  loop_.run(make_key(key));
  run(1s);
  Heard heard = heard_by(gateway->all<link::RouteUpdate>());
  EXPECT_TRUE(heard.routes.contains("aa.localhost"));
  EXPECT_TRUE(heard.keys.contains(key->key.key_sha256));
  loop_.run(cloud_->accounts().delete_key(key->key.id));
  run(1s);
  heard = heard_by(gateway->all<link::RouteUpdate>());
  EXPECT_TRUE(heard.keys.empty());
  EXPECT_EQ(heard.completes, 1u);
}

// What one turn takes on is bounded, however much waits: everybody else is heard between two.
TEST_F(SessionsTest, CommandsThatComeAtOnceAreSpreadOverTurns) {
  size_t ran = 0;
  const auto ask = [this, &ran](bool big) {
    ends_.spawn(cloud_->fleet_loop().submit([&ran, big](Fleet& fleet, Moment now) -> Result<> {
      ++ran;
      api::GroupSpec made = spec(fmt::format("group-{}", ran));
      made.replicas = big ? 500 : 1;
      TRY_DO(create_group(fleet, {"o", "org", fmt::format("p{}", ran), "project"}, made, 1'000'000,
                          now));
      return {};
    }));
  };
  size_t before = 0;
  for (const auto& [big, waiting, of_turn] :
       {std::tuple(false, 600, 256), std::tuple(true, 5, 2)}) {
    database_.held = true;
    for (int i = 0; i < waiting; ++i) ask(big);
    run();
    EXPECT_EQ(ran - before, size_t(of_turn));
    database_.let_go();
    run(1s);
    EXPECT_EQ(ran - before, size_t(waiting));
    before = ran;
  }
}

}  // namespace
}  // namespace mesclun::cloud
