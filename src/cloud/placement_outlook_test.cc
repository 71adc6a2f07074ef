#include "cloud/placement_outlook.h"

#include "cloud/fleet_test_kit.h"

namespace mesclun::cloud {
namespace {

NodeOffer machine(std::string_view country, int32_t cpu, std::string_view gpu = "") {
  const Share all{cpu, 8192, 100'000};
  NodeOffer offer{.node_id = "n",
                  .ring = 0,
                  .country = std::string(country),
                  .total = all,
                  .free = all,
                  .cards = {},
                  .groups = {}};
  if (!gpu.empty()) {
    offer.cards.push_back(
        {.device = "0", .class_id = std::string(gpu), .holder = {}, .holder_takes = {}});
  }
  return offer;
}

PlacementRequest request_for(int32_t cpu) {
  return {.group_id = "g", .share = {cpu, 1024, 0}, .gpu_classes = {}, .country_codes = {}};
}

bool may(const PlacementRequest& request, const OutlookNode& node) {
  return may_be_placed(request, std::span(&node, 1));
}

TEST(PlacementOutlook, OnlyWhatAMachineCouldEverCarryIsWorthAWait) {
  PlacementRequest request = request_for(2);
  EXPECT_TRUE(may_be_placed(request, {})) << "the first machine may be about to join";
  EXPECT_TRUE(may(request, {.empty = machine("us", 2)}));
  EXPECT_FALSE(may(request, {.empty = machine("us", 1)})) << "too small";
  request.country_codes = {"de"};
  EXPECT_FALSE(may(request, {.empty = machine("us", 2)}));
  request.country_codes.clear();
  request.gpu_classes = {"rtx"};
  EXPECT_FALSE(may(request, {.empty = machine("us", 2)}));
  EXPECT_FALSE(may(request, {.empty = machine("us", 2, "other")}));
  EXPECT_TRUE(may(request, {.empty = machine("us", 2, "rtx")}));
  request = request_for(2);
  request.has_command = false;
  OutlookNode process{.empty = machine("us", 2)};
  process.empty.needs_command = true;
  EXPECT_FALSE(may(request, process)) << "no image there";
}

TEST(PlacementOutlook, AMachineThatHasOneOrIsBarredDoesNotCount) {
  const PlacementRequest request = request_for(1);
  EXPECT_FALSE(may(request, {.empty = machine("us", 2), .has_one = true}));
  EXPECT_FALSE(may(request, {.empty = machine("us", 2), .barred = true}));
  const OutlookNode nodes[] = {{.empty = machine("us", 2), .barred = true},
                               {.empty = machine("us", 2)}};
  EXPECT_TRUE(may_be_placed(request, nodes)) << "one is enough";
}

using Outlook = FleetTest;

TEST_F(Outlook, BusyAndSilentMachinesAreWaitedFor) {
  const std::string node = add_node();
  const std::string first = create(1, R"({"container": {"resources": {"cpu": 4}}})");
  report_all();
  const std::string second =
      create(1, R"({"name": "second", "container": {"resources": {"cpu": 4}}})");
  EXPECT_TRUE(placement_may_change(fleet_, fleet_.groups.at(second), now())) << "busy";
  const std::string wide = create(1, R"({"name": "wide", "container": {"resources": {"cpu": 5}}})");
  EXPECT_FALSE(placement_may_change(fleet_, fleet_.groups.at(wide), now()));
  node_left(fleet_, node, sessions_[node], now());
  turn();
  EXPECT_TRUE(placement_may_change(fleet_, fleet_.groups.at(second), now())) << "silent";
}

TEST_F(Outlook, AnExclusionIsWaitedForIfItEndsSoon) {
  const std::string node = add_node();
  const std::string group = create(2);
  EXPECT_FALSE(placement_may_change(fleet_, fleet_.groups.at(group), now())) << "one of each";
  const std::string other = new_uuid(random_);
  fleet_.exclusions.add({.group_id = group,
                         .node_id = other,
                         .until = to_unix_nanos(now().wall + 1min),
                         .reason = "for now"});
  join(other);
  report(other);
  EXPECT_TRUE(placement_may_change(fleet_, fleet_.groups.at(group), now()));
}

TEST_F(Outlook, CountsTheMachinesThatWouldTakeOneMoreNow) {
  const std::string& gpu = api::known_gpu_classes().front().id;
  for (const char* country : {"us", "us", "de"}) add_node(country);
  const std::string with_gpu = add_node("de", {gpu});
  const auto count = [&](api::AvailabilityQuery query) { return count_available(fleet_, query); };
  EXPECT_EQ(count({.country_codes = {}, .resources = {.cpu = 4, .memory = 1024}}), 4);
  EXPECT_EQ(count({.country_codes = {}, .resources = {.cpu = 5, .memory = 1024}}), 0);
  EXPECT_EQ(count({.country_codes = {"us", "fr"}, .resources = {.cpu = 1, .memory = 1024}}), 2);
  const api::AvailabilityQuery cards{.country_codes = {},
                                     .resources = {.cpu = 1, .memory = 1024, .gpu_classes = {gpu}}};
  EXPECT_EQ(count(cards), 1);
  create(4, R"({"container": {"resources": {"cpu": 1}}})");
  EXPECT_EQ(count({.country_codes = {}, .resources = {.cpu = 4, .memory = 1024}}), 0) << "busy";
  EXPECT_EQ(count(cards), 1);
  node_left(fleet_, with_gpu, sessions_[with_gpu], now());
  turn();
  EXPECT_EQ(count(cards), 0) << "silent";
}

}  // namespace
}  // namespace mesclun::cloud
