#include "sim/user.h"

#include <iterator>

#include "api/gpu_class.h"
#include "base/log.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_views.h"
#include "sim/faults.h"
#include "sim/wishes.h"

namespace mesclun::sim {

namespace {

constexpr int kGroups = 12;
constexpr double kCommandsEverySeconds = 90;

// Refusals are part of the game; a broken store is too.
bool is_expected(const Result<>& result) {
  if (result) return true;
  switch (result.code()) {
    case ErrorCode::NotFound:
    case ErrorCode::AlreadyExists:
    case ErrorCode::PermissionDenied:
    case ErrorCode::Unavailable:
      return true;
    default:
      return false;
  }
}

}  // namespace

User::User(Clock& clock, Random& random, Trace& trace, size_t nodes, SimCloud& cloud,
           Ledger& ledger)
    : clock_(clock),
      random_(random),
      trace_(trace),
      nodes_(nodes),
      cloud_(cloud),
      ledger_(ledger) {}

Task<Result<>> User::sign_up(cloud::Accounts& accounts) {
  CO_TRY(const auto organization, co_await accounts.create_organization("simulated", ""));
  CO_TRY(const auto made, co_await accounts.create_project(organization.id, "default"));
  project_ = {organization.id, organization.name, made.id, made.name};
  co_return Result<>();
}

Task<Result<>> User::create_group() {
  const api::GroupSpec spec = random_spec(random_, ++group_number_, replicas_max());
  cloud::FleetLoop::Command create = [this, spec](cloud::Fleet& fleet,
                                                  cloud::Moment now) -> Result<> {
    TRY(const std::string id, cloud::create_group(fleet, project_, spec, 100'000, now));
    return {};
  };
  co_return co_await cloud_.submit(std::move(create));
}

Task<Result<>> User::command() {
  const uint64_t dice = random_.below(100);
  const uint64_t pick_group = random_.next();
  const uint64_t pick_instance = random_.next();
  const auto cost = static_cast<int32_t>(random_.below(1000));
  const json::object patch = random_patch(random_, replicas_max());
  cloud::FleetLoop::Command act = [=, this](cloud::Fleet& fleet, cloud::Moment now) -> Result<> {
    const auto groups = fleet.groups.of_project(project_.project_id);
    if (groups.empty()) return {};
    const cloud::Group& group = *groups[pick_group % groups.size()];
    const auto change = [&](const json::value& with) -> Result<> {
      TRY(const api::GroupChange changed,
          api::patch_group_spec(group.spec, with, api::known_gpu_classes()));
      return patch_group(fleet, group.id, changed, 100'000, now);
    };
    if (dice < 36) return change(patch);
    if (dice < 38) {
      if (!group.spec.networking) return {};
      return change(json::object{{"networking", json::object{{"port", 80 + pick_instance % 10}}}});
    }
    if (dice < 43) return stop_group(fleet, group.id, now);
    if (dice < 58) return start_group(fleet, group.id, now);
    if (dice < 61) return delete_group(fleet, group.id, now);
    if (dice < 63) {
      ledger_.lifts(group.id);
      fleet.exclusions.lift_all(group.id, false);
      return {};
    }
    const auto instances = instances_of(fleet, group.id);
    if (instances.empty()) return {};
    const cloud::Allocation& picked = *instances[pick_instance % instances.size()];
    const std::string id = picked.status.instance_id;
    if (dice < 76) {
      if (picked.placed() && !picked.wish.stop) ledger_.reallocates(group.id, picked.node_id);
      return reallocate(fleet, group.id, id, now);
    }
    if (dice < 83) return run_again(fleet, group.id, id, link::RunAction::Recreate);
    if (dice < 90) return run_again(fleet, group.id, id, link::RunAction::Restart);
    return set_deletion_cost(fleet, group.id, id, cost);
  };
  co_return co_await cloud_.submit(std::move(act));
}

// The operator, rather.
Task<Result<>> User::drain_a_node() {
  const uint64_t pick = random_.next();
  const bool drain = random_.chance(0.3);
  cloud::FleetLoop::Command act = [=](cloud::Fleet& fleet, cloud::Moment now) -> Result<> {
    const auto& nodes = fleet.nodes.all();
    if (nodes.empty()) return {};
    const std::string id = std::next(nodes.begin(), pick % nodes.size())->first;
    return drain ? drain_node(fleet, id, now) : undrain_node(fleet, id, now);
  };
  co_return co_await cloud_.submit(std::move(act));
}

Task<Result<>> User::act() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, kCommandsEverySeconds))));
    cloud::Cloud* const cloud = cloud_.running();
    if (cloud == nullptr) continue;
    const bool few = std::ssize(cloud->fleet().groups.of_project(project_.project_id)) < kGroups;
    Result<> done;
    ledger_.begin();
    if (random_.chance(0.1)) {
      done = co_await drain_a_node();
    } else if (few) {
      done = co_await create_group();
    } else {
      done = co_await command();
    }
    cloud::Cloud* const still = cloud_.running();
    ledger_.answered(done, still == nullptr ? nullptr : &still->fleet());
    ++commands_;
    trace_.note(done ? "command" : done.error().message);
    if (!done && done.code() == ErrorCode::Cancelled) co_return done;
    if (!is_expected(done)) {
      log_error("sim", "a command failed", {{"error", to_string(done.error())}});
      failed_ = true;
    }
  }
}

}  // namespace mesclun::sim
