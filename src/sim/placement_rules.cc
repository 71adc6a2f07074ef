#include "sim/placement_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mesclun::sim {

namespace {

constexpr int64_t kBytesOfMb = 1024 * 1024;
// Without a wish of its own (lifecycle.md, open point 12).
constexpr int64_t kStorageMb = 1024;

struct Amounts {
  int64_t cores = 0;
  int64_t memory_mb = 0;
  int64_t storage_mb = 0;

  void add(const cloud::Share& share) {
    cores += share.cpu;
    memory_mb += share.memory_mb;
    storage_mb += share.storage_mb;
  }
};

Amounts wanted_by(const cloud::Group& group) {
  const api::Resources& resources = group.spec.container.resources;
  Amounts wanted{.cores = resources.cpu, .memory_mb = resources.memory, .storage_mb = kStorageMb};
  if (resources.storage_amount) wanted.storage_mb = *resources.storage_amount / kBytesOfMb;
  return wanted;
}

bool is_one_of(const std::vector<std::string>& list, const std::string& word) {
  return std::ranges::count(list, word) > 0;
}

// Device to class.
std::map<std::string, std::string> gpus_of(const cloud::Node& node) {
  std::map<std::string, std::string> out;
  for (const link::GpuFacts& gpu : node.facts.gpus) {
    const std::string number = std::to_string(out.size());
    out[gpu.device.empty() ? number : gpu.device] = gpu.class_id;
  }
  return out;
}

// Those that hold something of the node.
std::vector<const cloud::Allocation*> holders_on(const cloud::Fleet& fleet,
                                                 const cloud::Node& node) {
  std::vector<const cloud::Allocation*> out;
  for (const std::string& id : fleet.allocations.on_node(node.id)) {
    const cloud::Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.done()) out.push_back(&allocation);
  }
  return out;
}

void judge_machine(const cloud::Node& node, const std::vector<const cloud::Allocation*>& here,
                   std::vector<std::string>& broken) {
  Amounts held;
  std::set<std::string> groups;
  std::set<std::string> devices;
  for (const cloud::Allocation* allocation : here) {
    held.add(allocation->share);
    if (!groups.insert(allocation->group_id).second) {
      broken.push_back(fmt::format("two instances of one group on node {}", node.id));
    }
    if (!allocation->gpu.empty() && !devices.insert(allocation->gpu).second) {
      broken.push_back(
          fmt::format("two instances have GPU {} of node {}", allocation->gpu, node.id));
    }
  }
  const auto judge = [&](int64_t has, int64_t of, std::string_view what) {
    if (has > of) {
      broken.push_back(fmt::format("node {} carries {} of {} {}", node.id, has, of, what));
    }
  };
  judge(held.cores, node.facts.cpu, "cores");
  judge(held.memory_mb, node.facts.memory_mb, "MB of memory");
  judge(held.storage_mb, node.facts.storage_mb, "MB of storage");
}

void judge_instance(const cloud::Node& node, const cloud::Group& group,
                    const cloud::Allocation& allocation, std::vector<std::string>& broken) {
  const auto said = [&](std::string why) {
    broken.push_back(
        fmt::format("an instance of {} on node {}, {}", group.spec.name, node.id, why));
  };
  const std::vector<std::string>& countries = group.spec.country_codes;
  if (!countries.empty() && !is_one_of(countries, node.facts.country)) {
    said(fmt::format("which is in {}", node.facts.country));
  }
  const std::vector<std::string>& classes = group.spec.container.resources.gpu_classes;
  if (!classes.empty()) {
    const auto gpus = gpus_of(node);
    const auto gpu = gpus.find(allocation.gpu);
    if (gpu == gpus.end()) {
      said(fmt::format("with GPU '{}', which is not there", allocation.gpu));
    } else if (!is_one_of(classes, gpu->second)) {
      said("with a GPU of another class");
    }
  }
  const Amounts wanted = wanted_by(group);
  const cloud::Share& share = allocation.share;
  if (share.cpu < wanted.cores || share.memory_mb < wanted.memory_mb ||
      share.storage_mb < wanted.storage_mb) {
    said("which keeps less for it than it asked for");
  }
}

}  // namespace

std::vector<std::string> broken_rules(const cloud::Fleet& fleet, const cloud::Node& node) {
  std::vector<std::string> broken;
  const auto here = holders_on(fleet, node);
  judge_machine(node, here, broken);
  for (const cloud::Allocation* allocation : here) {
    const cloud::Group& group = fleet.groups.at(allocation->group_id);
    const bool newest = allocation->wish.version == group.version;
    if (allocation->counts() && newest) judge_instance(node, group, *allocation, broken);
  }
  return broken;
}

bool has_room(const cloud::Fleet& fleet, const cloud::Group& group, const cloud::Node& node,
              const std::set<std::string>& without, WallTime exclusions_hold) {
  const bool takes =
      node.online() && node.mode == link::NodeMode::Active && !node.drained && node.trouble.empty();
  if (!takes) return false;
  const std::vector<std::string>& countries = group.spec.country_codes;
  if (!countries.empty() && !is_one_of(countries, node.facts.country)) return false;
  for (const cloud::Exclusion* exclusion : fleet.exclusions.of_group(group.id)) {
    const bool holds = from_unix_nanos(exclusion->until) > exclusions_hold;
    if (exclusion->node_id == node.id && holds) return false;
  }
  Amounts held;
  std::map<std::string, std::string> free_gpus = gpus_of(node);
  for (const cloud::Allocation* allocation : holders_on(fleet, node)) {
    if (without.contains(allocation->id)) continue;
    if (allocation->group_id == group.id) return false;
    held.add(allocation->share);
    free_gpus.erase(allocation->gpu);
  }
  const std::vector<std::string>& classes = group.spec.container.resources.gpu_classes;
  const bool has_gpu = std::ranges::any_of(
      free_gpus, [&](const auto& gpu) { return is_one_of(classes, gpu.second); });
  if (!classes.empty() && !has_gpu) return false;
  const Amounts wanted = wanted_by(group);
  return held.cores + wanted.cores <= node.facts.cpu &&
         held.memory_mb + wanted.memory_mb <= node.facts.memory_mb &&
         held.storage_mb + wanted.storage_mb <= node.facts.storage_mb;
}

}  // namespace mesclun::sim
