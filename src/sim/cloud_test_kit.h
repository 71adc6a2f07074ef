// For tests of the simulator: a cloud in virtual time, with a network that does no harm.
#pragma once

#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "cloud/fleet_groups.h"
#include "cloud/schema.h"
#include "sim/sim_cloud.h"

namespace mesclun::sim {

class CloudTest : public testing::Test {
 protected:
  static constexpr const char* kToken = "token";  // of nodes and of gateways

  explicit CloudTest(size_t nodes) : network(loop.executor(), loop.clock, random, faults, nodes) {
    settings.nodes.join_token = settings.gateways.gateway_token = kToken;
    cloud = std::make_unique<SimCloud>(SimCloud::Parts{.executor = loop.executor(),
                                                       .clock = loop.clock,
                                                       .random = random,
                                                       .network = network,
                                                       .database = *database,
                                                       .log_database = *logs,
                                                       .settings = settings});
    loop.run(cloud->start());
  }

  // A group that is always running; `members` are more of its document.
  void create(const std::string& name, int replicas, std::string_view members = "{}") {
    json::value document = parse_json(R"({"restart_policy": "always", "autostart_policy": true,
        "container": {"image": "app", "resources": {"cpu": 1, "memory": 1024}}})")
                               .value();
    document = merge_patch(std::move(document), parse_json(members).value());
    document.as_object()["name"] = name;
    document.as_object()["replicas"] = replicas;
    cloud::FleetLoop::Command command = [document](cloud::Fleet& fleet,
                                                   cloud::Moment now) -> Result<> {
      TRY(api::GroupSpec spec, api::read_group_spec(document, api::known_gpu_classes()));
      TRY_DO(cloud::create_group(fleet, {"o", "o", "p", "p"}, std::move(spec), 10, now));
      return {};
    };
    loop.run(cloud->submit(std::move(command)));
  }

  VirtualLoop loop;
  SeededRandom random{1};
  const Faults faults = Faults::none();
  std::unique_ptr<store::Database> database =
      store::open_sqlite({}, cloud::cloud_migrations()).value();
  std::unique_ptr<store::Database> logs = store::open_sqlite({}, cloud::log_migrations()).value();
  Network network;
  cloud::CloudSettings settings;
  std::unique_ptr<SimCloud> cloud;
};

}  // namespace mesclun::sim
