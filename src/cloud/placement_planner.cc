#include "cloud/placement_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace mesclun::cloud {

namespace {

// Without an own wish an instance gets room for files of this size (lifecycle.md, open point 12, at
// its least).
constexpr int64_t kStorageDefaultMb = 1024;

int64_t storage_mb(const api::Resources& resources) {
  return resources.storage_amount ? *resources.storage_amount / (1024 * 1024) : kStorageDefaultMb;
}

bool country_fits(const NodeOffer& offer, const std::vector<std::string>& codes) {
  return codes.empty() || std::ranges::binary_search(codes, offer.country);
}

// The free GPU that is to be used; the end if none fits.
auto find_gpu(const NodeOffer& offer, const api::Resources& resources) {
  return std::ranges::find_if(offer.gpu_classes_free, [&](const std::string& gpu) {
    return std::ranges::find(resources.gpu_classes, gpu) != resources.gpu_classes.end();
  });
}

enum class Fit { Yes, Country, Gpu, TooSmall, Busy, Taken, Excluded };

Fit fit_of(const PlacementRequest& request, const NodeOffer& offer) {
  const api::Resources& r = request.resources;
  if (!country_fits(offer, request.country_codes)) return Fit::Country;
  if (!r.gpu_classes.empty() && find_gpu(offer, r) == offer.gpu_classes_free.end()) return Fit::Gpu;
  if (r.cpu > offer.cpu || r.memory > offer.memory_mb) return Fit::TooSmall;
  if (offer.groups.contains(request.group_id)) return Fit::Taken;
  if (offer.excluded.contains(request.group_id)) return Fit::Excluded;
  const bool room = r.cpu <= offer.cpu_free && r.memory <= offer.memory_free_mb &&
                    storage_mb(r) <= offer.storage_free_mb;
  return room ? Fit::Yes : Fit::Busy;
}

void count(Misfit& misfit, Fit fit) {
  ++misfit.nodes;
  switch (fit) {
    case Fit::Yes:
      break;
    case Fit::Country:
      ++misfit.country;
      break;
    case Fit::Gpu:
      ++misfit.gpu;
      break;
    case Fit::TooSmall:
      ++misfit.too_small;
      break;
    case Fit::Busy:
      ++misfit.busy;
      break;
    case Fit::Taken:
      ++misfit.taken;
      break;
    case Fit::Excluded:
      ++misfit.excluded;
      break;
  }
}

// FNV-1a, because its value must not differ between runs.
uint64_t spread_hash(std::string_view group, std::string_view node) {
  uint64_t hash = 0xcbf29ce484222325;
  for (std::string_view part : {group, node}) {
    for (unsigned char c : part) hash = (hash ^ c) * 0x100000001b3;
  }
  return hash;
}

// Less is better.
auto cost_of(const PlacementRequest& request, const NodeOffer& offer) {
  const bool wastes_gpu = request.resources.gpu_classes.empty() && offer.has_gpu;
  const double cpu_share = static_cast<double>(offer.cpu_free) / std::max(offer.cpu, 1);
  const double memory_share = static_cast<double>(offer.memory_free_mb) /
                              static_cast<double>(std::max<int64_t>(offer.memory_mb, 1));
  return std::tuple(wastes_gpu, -std::min(cpu_share, memory_share), offer.instances,
                    spread_hash(request.group_id, offer.node_id));
}

}  // namespace

void occupy(NodeOffer& offer, const std::string& group_id, const api::Resources& resources) {
  offer.cpu_free -= resources.cpu;
  offer.memory_free_mb -= resources.memory;
  offer.storage_free_mb -= storage_mb(resources);
  const auto gpu = find_gpu(offer, resources);
  if (gpu != offer.gpu_classes_free.end()) offer.gpu_classes_free.erase(gpu);
  offer.groups.insert(group_id);
  ++offer.instances;
}

PlacementPlan plan_placements(std::vector<PlacementRequest> requests,
                              std::vector<NodeOffer> offers) {
  std::ranges::sort(requests, {}, [](const PlacementRequest& request) {
    return std::tie(request.priority, request.waiting_since, request.allocation_id);
  });
  PlacementPlan plan;
  for (const PlacementRequest& request : requests) {
    // What did not fit one replica of a group does not fit the next: free room only shrinks.
    if (plan.misfits.contains(request.group_id)) continue;
    NodeOffer* best = nullptr;
    Misfit misfit;
    int32_t candidates = 0;
    for (NodeOffer& offer : offers) {
      const Fit fit = fit_of(request, offer);
      count(misfit, fit);
      if (fit == Fit::Yes || fit == Fit::Busy) ++candidates;
      if (fit != Fit::Yes) continue;
      if (best == nullptr || cost_of(request, offer) < cost_of(request, *best)) best = &offer;
    }
    if (best == nullptr) {
      plan.misfits.emplace(request.group_id, misfit);
      continue;
    }
    occupy(*best, request.group_id, request.resources);
    plan.placements.push_back({request.allocation_id, best->node_id, candidates - 1});
  }
  return plan;
}

bool could_carry(const NodeOffer& offer, const api::Resources& resources,
                 const std::vector<std::string>& country_codes) {
  const bool gpu =
      resources.gpu_classes.empty() || find_gpu(offer, resources) != offer.gpu_classes_free.end();
  return country_fits(offer, country_codes) && gpu && resources.cpu <= offer.cpu &&
         resources.memory <= offer.memory_mb;
}

std::string Misfit::text() const {
  if (nodes == 0) return "Waiting for a node: none is online.";
  std::string out = fmt::format("Waiting for a node: of {} online", nodes);
  const auto add = [&](size_t n, std::string_view why) {
    if (n > 0) out += fmt::format(", {} {}", n, why);
  };
  add(country, "in other countries");
  add(gpu, "without a free GPU of these classes");
  add(too_small, "too small");
  add(busy, "without enough free room");
  add(taken, "with an instance of this group already");
  add(excluded, "excluded after a reallocation or a failure");
  return out + ".";
}

}  // namespace mesclun::cloud
