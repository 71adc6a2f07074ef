// How many commands run for people at once: in all, of an organization, of an instance.
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace mesclun::cloud {

struct ExecLimits {
  size_t all = 2'000;
  size_t of_organization = 128;
  size_t of_instance = 16;
};

// Runs on: one loop. Lifetime: its places may outlive it.
class ExecPlaces {
 public:
  explicit ExecPlaces(ExecLimits limits) : counts_(std::make_shared<Counts>(limits)) {}

  // Counts while it lives.
  using Place = std::shared_ptr<void>;
  // ResourceExhausted says which bound.
  Result<Place> enter(std::string organization_id, std::string instance_id) {
    const ExecLimits& limits = counts_->limits;
    if (count(counts_->of_instance, instance_id) >= limits.of_instance) {
      return full(fmt::format("{} commands run beside this instance already", limits.of_instance));
    }
    if (count(counts_->of_organization, organization_id) >= limits.of_organization) {
      return full(
          fmt::format("{} commands of this organization run already", limits.of_organization));
    }
    if (counts_->all >= limits.all) {
      return full("as many commands run beside instances of this cloud as may");
    }
    ++counts_->all;
    ++counts_->of_organization[organization_id];
    ++counts_->of_instance[instance_id];
    return Place(nullptr, [counts = counts_, organization_id, instance_id](void*) {
      --counts->all;
      leave(counts->of_organization, organization_id);
      leave(counts->of_instance, instance_id);
    });
  }
  size_t taken() const { return counts_->all; }

 private:
  using Map = std::map<std::string, size_t>;
  struct Counts {
    explicit Counts(ExecLimits what) : limits(what) {}
    ExecLimits limits;
    size_t all = 0;
    Map of_organization;  // without zeros
    Map of_instance;
  };
  static size_t count(const Map& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? 0 : found->second;
  }
  static void leave(Map& map, const std::string& name) {
    if (--map[name] == 0) map.erase(name);
  }
  static Error full(std::string what) { return {ErrorCode::ResourceExhausted, std::move(what)}; }

  std::shared_ptr<Counts> counts_;
};

}  // namespace mesclun::cloud
