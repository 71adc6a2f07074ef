#include "sim/checkers.h"

#include "base/log.h"
#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"

namespace mesclun::sim {

namespace {

constexpr size_t kViolationsKept = 100;
// A returned copy is told within a round trip and ends within its stop grace (30 s); a node that
// cannot hear the cloud is not counted. The rest is for a session that must first be found broken
// (20 s) and dialled anew (10 s), and for a slow store.
constexpr Duration kDoubledMax = 120s;
// Applications end by themselves in the healing phase too; a start takes up to an hour.
constexpr Duration kStartMax = 75min;
// Ready within 21 s, looked at every 60 s.
constexpr Duration kProbedMax = 3min;

std::string allocation_of(const runtime::RunSpec& spec) {
  const json::value* id = spec.label.if_contains("allocation_id");
  return id != nullptr && id->is_string() ? std::string(id->get_string()) : "";
}

}  // namespace

void Checkers::violated(std::string text) {
  log_error("sim", text, {{"at_s", to_seconds(clock_.now().time_since_epoch())}});
  if (violations_.size() < kViolationsKept) {
    violations_.push_back(
        fmt::format("{}: {}", format_rfc3339(clock_.wall_now()), std::move(text)));
  }
}

void Checkers::check_fleet(const cloud::Fleet& fleet) {
  ++checks_;
  const int64_t wall = to_unix_nanos(clock_.wall_now());
  std::map<std::string, int32_t> counted;
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    slot_of_[id] = allocation.slot;
    if (allocation.counts()) ++counted[allocation.group_id];
    const bool active = allocation.placed() && allocation.counts() && !allocation.done();
    if (active && fleet.exclusions.holds(allocation.group_id, allocation.node_id, wall)) {
      violated(fmt::format("allocation {} is on node {}, which is excluded for its group", id,
                           allocation.node_id));
    }
  }
  for (const auto& [id, group] : fleet.groups.all()) {
    const bool wanted = group.started && group.delete_time == 0;
    const int32_t replicas = wanted ? group.spec.replicas : 0;
    // Read from the store, by a start or after a commit that failed, and not looked at since.
    if (fleet.marks.review.contains(id)) continue;
    if (wanted && counted[id] != replicas) {
      violated(fmt::format("group {} has {} replicas, wants {}", group.spec.name, counted[id],
                           replicas));
    }
  }
  for (const auto& [node_id, node] : fleet.nodes.all()) {
    std::set<std::string> groups;
    int32_t cpu = 0;
    for (const std::string& id : fleet.allocations.on_node(node_id)) {
      const cloud::Allocation& allocation = fleet.allocations.at(id);
      if (allocation.done()) continue;
      if (node.drained && allocation.counts()) {
        violated(fmt::format("allocation {} stays on node {}, which is drained", id, node_id));
      }
      cpu += allocation.share.cpu;
      if (!groups.insert(allocation.group_id).second) {
        violated(fmt::format("two instances of one group on node {}", node_id));
      }
    }
    if (cpu > node.facts.cpu)
      violated(fmt::format("node {} carries {} of {} cores", node_id, cpu, node.facts.cpu));
  }
}

void Checkers::check_copies(const cloud::Fleet& fleet,
                            const std::vector<std::unique_ptr<SimNode>>& nodes,
                            const Network& network, bool cloud_up) {
  ++checks_;
  std::map<std::string, size_t> copies;
  for (const auto& node : nodes) {
    const cloud::Node* known = fleet.nodes.find(node->machine_id());
    const bool hears = cloud_up && node->agent_runs() && !network.is_cut(node->index()) &&
                       known != nullptr && known->online();
    if (!hears) continue;
    for (const std::string& run : node->driver().live()) {
      const std::string allocation = allocation_of(*node->driver().find_spec(run));
      const auto slot = slot_of_.find(allocation);
      if (slot == slot_of_.end()) continue;
      // What is being stopped may take its grace; only what is wanted counts as a copy.
      const cloud::Allocation* row = fleet.allocations.find(allocation);
      const bool told_to_stop = row != nullptr && row->wish.stop;
      const bool leaving = row != nullptr && row->leaving();
      if (!told_to_stop && !leaving) ++copies[slot->second];
    }
  }
  std::map<std::string, TimePoint> doubled;
  for (const auto& [slot, count] : copies) {
    if (count < 2) continue;
    const auto since = doubled_since_.find(slot);
    const TimePoint begin = since == doubled_since_.end() ? clock_.now() : since->second;
    if (clock_.now() - begin > kDoubledMax) {
      violated(fmt::format("{} started copies of replica {} for {} s", count, slot,
                           to_seconds(clock_.now() - begin)));
    }
    doubled[slot] = begin;
  }
  doubled_since_ = std::move(doubled);
}

bool Checkers::starts_now(const cloud::Allocation& allocation) const {
  const Duration age = clock_.wall_now() - from_unix_nanos(allocation.update_time);
  const bool creating = allocation.state() == api::InstanceState::Creating && age < kStartMax;
  const bool not_probed = allocation.state() == api::InstanceState::Running && age < kProbedMax;
  return allocation.counts() && (creating || (not_probed && !allocation.ready()));
}

// It may well go on, at the pace of starts; but it may not stand where it could.
void Checkers::check_update(const cloud::Fleet& fleet, const cloud::Group& group) {
  int32_t under_way = 0;
  int32_t old = 0;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const cloud::Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.counts() || allocation.done()) continue;
    if (allocation.wish.version != group.version) {
      ++old;
    } else if (!allocation.serves() || starts_now(allocation)) {
      ++under_way;
    }
  }
  if (old > 0 && under_way < cloud::update_step(fleet.settings, group)) {
    violated(fmt::format("{} of {} are of an old version, and only {} are on their way", old,
                         group.spec.name, under_way));
  }
}

void Checkers::check_healed(const cloud::Fleet& fleet,
                            const std::vector<std::unique_ptr<SimNode>>& nodes) {
  ++checks_;
  std::set<std::string> wanted;
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    const cloud::Group& group = fleet.groups.at(allocation.group_id);
    if (allocation.done()) continue;
    wanted.insert(id);
    if (starts_now(allocation)) continue;
    if (allocation.leaving() && clock_.wall_now() >= from_unix_nanos(allocation.leave_by)) {
      violated(fmt::format("allocation {} never left its drained node", id));
    }
    if (allocation.wish.stop || allocation.lost) {
      violated(fmt::format("allocation {} of {} never ended", id, group.spec.name));
    } else if (!allocation.placed() && cloud::waiting_reason(fleet, group).empty()) {
      violated(fmt::format("a replica of {} waits without a reason", group.spec.name));
    } else if (allocation.placed() && !allocation.serves()) {
      violated(fmt::format("allocation {} of {} does not serve: {}, ready {}, run {} of {}", id,
                           group.spec.name, enum_name(allocation.state()), allocation.ready(),
                           allocation.status.run, allocation.wish.run));
    }
  }
  for (const auto& [id, group] : fleet.groups.all()) {
    if (group.update) check_update(fleet, group);
  }
  std::set<std::string> running;
  for (const auto& node : nodes) {
    for (const std::string& run : node->driver().live()) {
      const std::string allocation = allocation_of(*node->driver().find_spec(run));
      if (!wanted.contains(allocation)) {
        violated(fmt::format("a container of nobody runs on node {}", node->machine_id()));
      }
      if (!running.insert(allocation).second) {
        violated(fmt::format("allocation {} runs twice", allocation));
      }
    }
  }
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    const bool settled = allocation.placed() && !allocation.done() && !starts_now(allocation);
    if (settled && !running.contains(id)) {
      violated(fmt::format("allocation {} is said to run and does not", id));
    }
  }
}

}  // namespace mesclun::sim
