#include "cloud/usage_table.h"

#include "base/text.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kGpusMax = 64;
constexpr size_t kEndpointsMax = 16;
constexpr size_t kTextMax = 200;

link::MachineReading within_bounds(link::MachineReading reading) {
  if (reading.gpus.size() > kGpusMax) reading.gpus.resize(kGpusMax);
  if (reading.endpoints.size() > kEndpointsMax) reading.endpoints.resize(kEndpointsMax);
  for (link::GpuReading& gpu : reading.gpus) gpu.device = valid_utf8(gpu.device, kTextMax);
  for (link::EndpointReading& endpoint : reading.endpoints) {
    endpoint.name = valid_utf8(endpoint.name, kTextMax);
    endpoint.problem = valid_utf8(endpoint.problem, kTextMax);
  }
  return reading;
}

}  // namespace

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
  said.machine = within_bounds(usage.machine.value_or(link::MachineReading()));
}

void UsageTable::take_node(const std::string& node_id, const link::Usage& usage, TimePoint now) {
  take(nodes_, node_id, usage, now);
}
void UsageTable::take_gateway(const std::string& gateway, const link::Usage& usage, TimePoint now) {
  take(gateways_, gateway, usage, now);
}

const link::MachineReading* UsageTable::machine(const std::string& node_id, TimePoint now) const {
  const auto node = nodes_.find(node_id);
  return node == nodes_.end() || !is_fresh(node->second, now) ? nullptr : &node->second.machine;
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
