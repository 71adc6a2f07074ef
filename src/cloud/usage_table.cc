#include "cloud/usage_table.h"

namespace mesclun::cloud {

void UsageTable::take(Sources& sources, const std::string& name, const link::Usage& usage,
                      TimePoint now) {
  if (!sources.contains(name)) {
    std::erase_if(sources, [&](const auto& source) { return !is_fresh(source.second, now); });
  }
  Said& said = sources[name];
  said.time = now;
  said.instances.clear();
  for (const link::InstanceUsage& instance : usage.instances) {
    said.instances[instance.instance_id] = instance;
  }
}

void UsageTable::take_node(const std::string& node_id, const link::Usage& usage, TimePoint now) {
  take(nodes_, node_id, usage, now);
}
void UsageTable::take_gateway(const std::string& gateway, const link::Usage& usage, TimePoint now) {
  take(gateways_, gateway, usage, now);
}

link::InstanceUsage UsageTable::find(const std::string& node_id, const std::string& instance_id,
                                     TimePoint now) const {
  link::InstanceUsage out{.instance_id = instance_id};
  if (const auto node = nodes_.find(node_id); node != nodes_.end() && is_fresh(node->second, now)) {
    const auto found = node->second.instances.find(instance_id);
    if (found != node->second.instances.end()) {
      out.cpu_cores = found->second.cpu_cores;
      out.memory_bytes = found->second.memory_bytes;
    }
  }
  for (const auto& [name, said] : gateways_) {
    if (!is_fresh(said, now)) continue;
    out.requests_per_second = out.requests_per_second.value_or(0);
    out.in_flight = out.in_flight.value_or(0);
    const auto found = said.instances.find(instance_id);
    if (found == said.instances.end()) continue;
    *out.requests_per_second += found->second.requests_per_second.value_or(0);
    *out.in_flight += found->second.in_flight.value_or(0);
  }
  return out;
}

}  // namespace mesclun::cloud
