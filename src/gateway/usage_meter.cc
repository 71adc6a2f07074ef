#include "gateway/usage_meter.h"

namespace mesclun::gateway {

link::Usage UsageMeter::measure() {
  const TimePoint now = clock_.now();
  const double seconds = measured_ == TimePoint{} ? 0 : to_seconds(now - measured_);
  std::map<std::string, uint64_t> counts;
  link::Usage usage;
  table_.for_each([&](const Group& group) {
    for (const InstancePtr& instance : group.instances()) {
      counts[instance->id] = instance->requests;
      const auto last = last_.find(instance->id);
      const uint64_t before = last == last_.end() ? 0 : last->second;
      const uint64_t more = instance->requests - std::min(before, instance->requests);
      if (more == 0 && instance->in_flight == 0) continue;
      link::InstanceUsage& used = usage.instances.emplace_back();
      used.instance_id = instance->id;
      if (seconds > 0) used.requests_per_second = static_cast<double>(more) / seconds;
      used.in_flight = instance->in_flight;
    }
  });
  last_ = std::move(counts);
  measured_ = now;
  return usage;
}

}  // namespace mesclun::gateway
