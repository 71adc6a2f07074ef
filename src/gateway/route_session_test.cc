#include "gateway/route_session.h"

#include "base/race.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

// A cloud that accepts every dial, or none.
class FakeCloud final : public link::Dialer {
 public:
  FakeCloud(const asio::any_io_executor& executor, Clock& clock)
      : executor_(executor), clock_(clock) {}

  Task<Result<link::SessionPtr>> dial() override {
    ++dials;
    if (away) co_return Error::unavailable("away");
    auto [theirs, ours] = link::memory_session_pair(executor_, clock_);
    session = std::move(ours);
    co_return std::move(theirs);
  }

  bool away = false;
  int dials = 0;
  link::SessionPtr session;

 private:
  const asio::any_io_executor executor_;
  Clock& clock_;
};

struct World {
  VirtualLoop loop;
  SeededRandom random{1};
  FakeCloud cloud{loop.executor(), loop.clock};
  RouteTable table{loop.clock, [](const std::string& id) {
                     auto node = std::make_shared<Node>();
                     node->id = id;
                     return node;
                   }};
  RouteSession session{loop.clock,
                       random,
                       {.name = "gw", .gateway_token = "token", .tunnel_endpoint = "h:1"},
                       cloud,
                       table};

  void update(std::vector<link::Route> routes) {
    link::RouteUpdate update;
    update.complete = true;
    update.routes = std::move(routes);
    EXPECT_TRUE(cloud.session->send(link::Message(std::move(update))));
  }
};

Task<void> ignore(Task<Result<>> task) {
  const Result<> result = co_await std::move(task);
  if (!result && result.code() != ErrorCode::Cancelled) ADD_FAILURE() << to_string(result.error());
}

// Beside the session's run(), which race() cancels at the end.
template <class Story>
void with_session(World& world, Story story) {
  const auto body = [](World& w, Story s) -> Task<Result<>> {
    co_await race(ignore(w.session.run()), ignore(s(w)));
    co_return Result<>();
  };
  world.loop.run(body(world, story));
}

Task<Result<>> keeps_routes(World& world) {
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  CO_TRY(const link::Message first, co_await world.cloud.session->receive());
  const auto* hello = std::get_if<link::GatewayHello>(&first);
  EXPECT_TRUE(hello != nullptr);
  if (hello != nullptr) {
    EXPECT_EQ(hello->gateway_token, "token");
    EXPECT_EQ(hello->tunnel_endpoint, "h:1");
  }
  world.update({make_route(1)});
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  EXPECT_TRUE(world.session.connected());
  EXPECT_NE(world.table.find("g.example"), nullptr);

  // The cloud goes away for an hour.
  world.cloud.away = true;
  world.cloud.session->close();
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1h));
  EXPECT_FALSE(world.session.connected());
  EXPECT_NE(world.table.find("g.example"), nullptr) << "routes outlive the session";
  EXPECT_LT(world.cloud.dials, 3000);
  EXPECT_GT(world.cloud.dials, 400);
  world.cloud.away = false;
  CO_TRY_DO(co_await world.loop.clock.sleep_for(8s));
  world.update({});
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  EXPECT_EQ(world.table.find("g.example"), nullptr);
  co_return Result<>();
}

TEST(RouteSession, KeepsRoutesWhileTheCloudIsAwayAndComesBack) {
  World world;
  with_session(world, keeps_routes);
}

Task<Result<>> listen_for(World& world, Duration length, std::vector<link::Usage>& told) {
  const TimePoint end = world.loop.clock.now() + length;
  while (world.loop.clock.now() < end) {
    const auto said = co_await world.cloud.session->receive_within(end - world.loop.clock.now());
    if (!said) break;
    if (const auto* usage = std::get_if<link::Usage>(&*said)) told.push_back(*usage);
    std::ignore = world.cloud.session->send(link::Heartbeat{});
  }
  co_return Result<>();
}

Task<Result<>> tells_usage(World& world) {
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  link::Route route = make_route(1);
  world.update({route});
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  const GroupPtr group = world.table.find("g.example");
  const InstancePtr& instance = group->instances().at(0);
  std::vector<link::Usage> told;
  CO_TRY_DO(co_await listen_for(world, 11s, told));
  EXPECT_EQ(told.size(), 1u);
  EXPECT_TRUE(told.at(0).instances.empty());
  {
    const InFlight first(group, instance);
    for (int i = 0; i < 19; ++i) const InFlight other(group, instance);
    CO_TRY_DO(co_await listen_for(world, 10s, told));
  }
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(told.at(1).instances.size(), 1u);
  EXPECT_EQ(told.at(1).instances.at(0).instance_id, instance->id);
  EXPECT_EQ(told.at(1).instances.at(0).in_flight, 1);
  EXPECT_NEAR(told.at(1).instances.at(0).requests_per_second.value(), 2, 0.01);
  co_return Result<>();
}

TEST(RouteSession, TheCloudIsToldHowInstancesAreAsked) {
  World world;
  with_session(world, tells_usage);
}

Task<Result<>> silence(World& world) {
  CO_TRY_DO(co_await world.loop.clock.sleep_for(1ms));
  EXPECT_EQ(world.cloud.dials, 1);
  for (int i = 0; i < 10; ++i) {
    CO_TRY_DO(co_await world.loop.clock.sleep_for(15s));
    EXPECT_TRUE(world.cloud.session->send(link::Heartbeat{}));
  }
  EXPECT_EQ(world.cloud.dials, 1) << "a heartbeat is enough";
  CO_TRY_DO(co_await world.loop.clock.sleep_for(21s));
  EXPECT_EQ(world.cloud.dials, 2);
  // We speak too.
  CO_TRY_DO(co_await world.loop.clock.sleep_for(6s));
  CO_TRY(const link::Message hello, co_await world.cloud.session->receive());
  CO_TRY(const link::Message heartbeat, co_await world.cloud.session->receive());
  EXPECT_TRUE(std::holds_alternative<link::Heartbeat>(heartbeat));
  co_return Result<>();
}

TEST(RouteSession, GivesUpASilentCloud) {
  World world;
  with_session(world, silence);
}

}  // namespace
}  // namespace mesclun::gateway
