#include "cloud/fleet_update.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/event_names.h"
#include "base/units.h"
#include "cloud/fleet_placement.h"
#include "cloud/fleet_steps.h"

namespace mesclun::cloud {

namespace {

// A user who patches faster than instances follow: what carries a still older one is started anew
// without a look at what differs.
constexpr size_t kFormerMax = 4;

// How the instances of a group stand to its newest version.
struct Standing {
  std::vector<const Allocation*> old;
  std::vector<const Allocation*> under_way;
  int32_t served = 0;
  int64_t settles_at = 0;  // the first of those that only have to go on; 0: none

  int32_t room(const FleetSettings& settings, const Group& group) const {
    return update_step(settings, group) - static_cast<int32_t>(under_way.size());
  }
};

Standing standing_of(const Fleet& fleet, const Group& group, int64_t wall) {
  Standing out;
  const bool finds_no_node = group.failures == 0 && fleet.waiting.find(group.id) != nullptr;
  const int64_t settle = group.spec.readiness_probe ? 0 : fleet.settings.update_settle.count();
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.counts() || allocation.done()) continue;
    if (allocation.wish.version != group.version) {
      out.old.push_back(&allocation);
    } else if (!allocation.serves()) {
      if (allocation.placed() || !finds_no_node) out.under_way.push_back(&allocation);
    } else if (const int64_t at = allocation.serving_since + settle; at > wall) {
      out.under_way.push_back(&allocation);
      if (out.settles_at == 0 || at < out.settles_at) out.settles_at = at;
    } else {
      ++out.served;
    }
  }
  return out;
}

// First what costs nothing, then what does not serve, then the oldest.
void order(std::vector<const Allocation*>& old) {
  std::ranges::sort(old, {}, [](const Allocation* a) {
    return std::tuple(a->placed(), a->serves(), a->create_time, a->id);
  });
}

void carry(Fleet& fleet, const Group& group, const Allocation& allocation, bool restart) {
  fleet.allocations.change(allocation.id, [&](Allocation& carries) {
    carries.wish.version = group.version;
    if (!restart || !carries.placed()) return;
    ++carries.wish.run;
    carries.wish.run_action = link::RunAction::Recreate;
    carries.wish.run_by_user = false;
  });
}

// What the newest version means for an instance.
struct Step {
  bool moves = false;
  bool restarts = false;
  // It waits for a node, which is sought by the needs of the newest version.
  bool sought_otherwise = false;
  std::optional<Refit> refit;
};

Step step_of(const Fleet& fleet, const Group& group, const Allocation& allocation) {
  const api::GroupSpec* carried = spec_of_version(group, allocation.wish.version);
  api::GroupChange change{.spec = {}, .restart = true, .placement_changed = true};
  if (carried != nullptr) change = api::change_of(*carried, group.spec);
  Step step{.restarts = change.restart};
  if (!allocation.placed()) {
    step.sought_otherwise =
        carried == nullptr || request_of(group.id, *carried) != request_of(group);
    return step;
  }
  if (!change.placement_changed) return step;
  step.refit = refit_of(fleet, allocation, group);
  step.moves = !step.refit;
  if (step.refit && step.refit->restarts) step.restarts = true;
  return step;
}

void take(Fleet& fleet, const Group& group, const Allocation& allocation, const Step& step,
          Moment now) {
  if (step.moves) {
    add_event(fleet, allocation, api::event::kReallocatedByPlatform,
              "its node does not fit the updated group", now);
    release(fleet, allocation.id, now);
    return;
  }
  if (step.refit) refit(fleet, allocation, *step.refit);
  carry(fleet, group, allocation, step.restarts);
}

std::string what_is_missing(const Allocation& allocation) {
  if (!allocation.placed()) return "waits for a node";
  if (allocation.status.state != link::RunState::Running) return "is being created";
  if (!allocation.status.started) return "runs, but its startup probe has not passed";
  return "runs, but its readiness probe has not passed";
}

// Why the update does not go on; empty: nothing speaks against it.
std::string obstacle(const Fleet& fleet, const Group& group, const Standing& standing,
                     int64_t wall) {
  const UpdateProgress& update = group.update->progress;
  if (standing.under_way.empty()) return "";
  if (group.failures > update.failures) return group.failure;
  if (wall - update.progress_time < fleet.settings.update_patience.count()) return "";
  const auto placed = std::ranges::find_if(standing.under_way, &Allocation::placed);
  const Allocation& first =
      placed == standing.under_way.end() ? *standing.under_way.front() : **placed;
  return fmt::format("no further instance has become ready for {}: {} {}",
                     format_duration(fleet.settings.update_patience), first.status.instance_id,
                     what_is_missing(first));
}

void tell(Fleet& fleet, const Group& group, std::string_view what, const std::string& detail,
          Moment now) {
  add_event(fleet, group,
            fmt::format("Container Group Update {} (Version {})", what, group.version), detail,
            now);
}

// What of it changed since the last look.
void note_progress(Fleet& fleet, const Group& group, const Standing& standing, Moment now) {
  const int64_t wall = to_unix_nanos(now.wall);
  UpdateProgress update = group.update->progress;
  // With nothing under way there is nothing to be waited for.
  if (standing.served > update.served || standing.under_way.empty()) {
    update.served = std::max(update.served, standing.served);
    update.progress_time = wall;
    update.failures = group.failures;
    update.held.clear();
  }
  std::string held = obstacle(fleet, group, standing, wall);
  if (!held.empty()) {
    if (update.held.empty()) tell(fleet, group, "Held", held, now);
    update.held = std::move(held);
  }
  const int64_t patience_ends =
      update.held.empty() ? update.progress_time + fleet.settings.update_patience.count() : 0;
  update.look_time = patience_ends;
  if (standing.settles_at != 0 && (patience_ends == 0 || standing.settles_at < patience_ends)) {
    update.look_time = standing.settles_at;
  }
  if (update == group.update->progress) return;
  fleet.groups.change(group.id,
                      [&](Group& changed) { changed.update->progress = std::move(update); });
}

}  // namespace

const api::GroupSpec* spec_of_version(const Group& group, int32_t version) {
  if (version == group.version) return &group.spec;
  if (!group.update) return nullptr;
  const auto& former = group.update->former;
  const auto found = std::ranges::find(former, version, &FormerSpec::version);
  return found == former.end() ? nullptr : &found->spec;
}

int32_t update_step(const FleetSettings& settings, const Group& group) {
  return group.update_at_once.value_or(settings.update_at_once).of(group.spec.replicas);
}

void begin_update(Fleet& fleet, const Group& group, api::GroupSpec former, Moment now) {
  const std::set<std::string> members = fleet.allocations.of_group(group.id);
  const auto is_old = [&](const std::string& id) {
    const Allocation& allocation = fleet.allocations.at(id);
    return allocation.wanted() && !allocation.done() && allocation.wish.version != group.version;
  };
  if (std::ranges::none_of(members, is_old)) return;
  fleet.groups.change(group.id, [&](Group& changed) {
    std::vector<FormerSpec> kept =
        changed.update ? std::move(changed.update->former) : std::vector<FormerSpec>();
    kept.push_back({.version = group.version - 1, .spec = std::move(former)});
    if (kept.size() > kFormerMax) kept.erase(kept.begin());
    changed.update = GroupUpdate{
        .former = std::move(kept),
        .progress = {.progress_time = to_unix_nanos(now.wall), .failures = changed.failures}};
  });
  const UpdateLimit everything{.amount = 100, .percent = true};
  const bool at_once = group.update_at_once.value_or(fleet.settings.update_at_once) == everything;
  for (const std::string& id : members) {
    if (!is_old(id)) continue;
    const Allocation& allocation = fleet.allocations.at(id);
    const Step step = step_of(fleet, group, allocation);
    if (step.sought_otherwise || (!step.moves && !step.restarts)) {
      take(fleet, group, allocation, step, now);
    } else if (at_once && allocation.leaving()) {
      release(fleet, id, now);  // its successor carries the new version
    }
  }
  go_on_with_update(fleet, group, now);
}

bool go_on_with_update(Fleet& fleet, const Group& group, Moment now) {
  if (!group.update) return false;
  const int64_t wall = to_unix_nanos(now.wall);
  Standing standing = standing_of(fleet, group, wall);
  note_progress(fleet, group, standing, now);
  if (standing.old.empty() && standing.under_way.empty()) {
    fleet.groups.change(group.id, [](Group& done) { done.update.reset(); });
    tell(fleet, group, "Completed", "", now);
    return false;
  }
  order(standing.old);
  int32_t room = standing.room(fleet.settings, group);
  bool released = false;
  for (const Allocation* allocation : standing.old) {
    if (room <= 0) break;
    --room;
    const Step step = step_of(fleet, group, *allocation);
    released = released || step.moves;
    take(fleet, group, *allocation, step, now);
  }
  return released;
}

int32_t version_of_new_replica(const Fleet& fleet, const Group& group, Moment now) {
  if (!group.update) return group.version;
  const Standing standing = standing_of(fleet, group, to_unix_nanos(now.wall));
  if (standing.room(fleet.settings, group) > 0) return group.version;
  std::map<int32_t, size_t> serving;
  for (const Allocation* allocation : standing.old) {
    if (allocation->serves()) ++serving[allocation->wish.version];
  }
  const auto most = std::ranges::max_element(serving, {}, [](const auto& s) { return s.second; });
  if (most == serving.end()) return group.version;
  const api::GroupSpec* spec = spec_of_version(group, most->first);
  const bool same_needs = spec != nullptr && request_of(group.id, *spec) == request_of(group);
  return same_needs ? most->first : group.version;
}

bool is_proven(const Fleet& fleet, const Group& group) {
  return std::ranges::any_of(fleet.allocations.of_group(group.id), [&](const std::string& id) {
    const Allocation& allocation = fleet.allocations.at(id);
    return allocation.serves() && allocation.wish.version == group.version;
  });
}

std::string update_text(const Fleet& fleet, const Group& group) {
  if (!group.update) return "";
  int32_t serve = 0;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.serves() && allocation.wish.version == group.version) ++serve;
  }
  std::string text = fmt::format("Version {} serves on {} of {} instances.", group.version, serve,
                                 group.spec.replicas);
  if (!group.update->progress.held.empty()) {
    text += fmt::format(" It does not go on until that works or another version comes: {}.",
                        group.update->progress.held);
  }
  return text;
}

}  // namespace mesclun::cloud
