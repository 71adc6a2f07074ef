// The parts of the API's answers that the command line shows. Everything that an older or newer
// cloud may leave out is optional; `-o json` prints the answer itself, not these.
#pragma once

#include "base/json.h"

namespace mesclun::client {

struct StatusCountsView {
  int64_t allocating_count = 0;
  int64_t creating_count = 0;
  int64_t running_count = 0;
  int64_t stopping_count = 0;
};
BOOST_DESCRIBE_STRUCT(StatusCountsView, (),
                      (allocating_count, creating_count, running_count, stopping_count))

struct GroupStateView {
  std::string status;
  std::optional<std::string> description;
  StatusCountsView instance_status_counts;
};
BOOST_DESCRIBE_STRUCT(GroupStateView, (), (status, description, instance_status_counts))

struct ResourcesView {
  int64_t cpu = 0;
  int64_t memory = 0;  // MB
  std::vector<std::string> gpu_classes;
};
BOOST_DESCRIBE_STRUCT(ResourcesView, (), (cpu, memory, gpu_classes))

struct ContainerView {
  std::string image;
  std::vector<std::string> command;
  ResourcesView resources;
};
BOOST_DESCRIBE_STRUCT(ContainerView, (), (image, command, resources))

struct NetworkingView {
  std::string dns;
  int64_t port = 0;
  bool auth = false;
};
BOOST_DESCRIBE_STRUCT(NetworkingView, (), (dns, port, auth))

struct GroupView {
  std::string name;
  std::string organization_name;
  std::string project_name;
  ContainerView container;
  int64_t replicas = 0;
  int64_t version = 0;
  bool pending_change = false;
  bool autostart_policy = false;
  std::optional<std::string> restart_policy;
  std::optional<std::string> priority;
  std::vector<std::string> country_codes;
  std::optional<NetworkingView> networking;
  GroupStateView current_state;
  std::string create_time;
  std::string update_time;
};
BOOST_DESCRIBE_STRUCT(GroupView, (),
                      (name, organization_name, project_name, container, replicas, version,
                       pending_change, autostart_policy, restart_policy, priority, country_codes,
                       networking, current_state, create_time, update_time))

struct GroupListView {
  std::vector<GroupView> items;
};
BOOST_DESCRIBE_STRUCT(GroupListView, (), (items))

struct InstanceView {
  std::string id;
  std::string machine_id;
  std::string state;
  std::string update_time;
  int64_t version = 0;
  std::optional<bool> ready;
  std::optional<bool> started;
  std::optional<int64_t> deletion_cost;
  std::optional<double> pulling_progress;  // per cent
  std::optional<double> cpu_percent;
  std::optional<double> memory_usage_mb;
};
BOOST_DESCRIBE_STRUCT(InstanceView, (),
                      (id, machine_id, state, update_time, version, ready, started, deletion_cost,
                       pulling_progress, cpu_percent, memory_usage_mb))

struct InstanceListView {
  std::vector<InstanceView> instances;
};
BOOST_DESCRIBE_STRUCT(InstanceListView, (), (instances))

struct EventView {
  int64_t sequence = 0;
  std::string time;
  std::string event_name;
  std::optional<std::string> detail;
  std::optional<std::string> instance_id;
  std::optional<std::string> machine_id;
};
BOOST_DESCRIBE_STRUCT(EventView, (), (sequence, time, event_name, detail, instance_id, machine_id))

struct EventListView {
  std::vector<EventView> items;
};
BOOST_DESCRIBE_STRUCT(EventListView, (), (items))

struct ExclusionView {
  std::string machine_id;
  std::optional<std::string> hostname;
  std::string until;
  std::optional<bool> by_failure;
  std::optional<std::string> reason;
};
BOOST_DESCRIBE_STRUCT(ExclusionView, (), (machine_id, hostname, until, by_failure, reason))

struct ExclusionListView {
  std::vector<ExclusionView> items;
};
BOOST_DESCRIBE_STRUCT(ExclusionListView, (), (items))

// What an instance uses; what is not known is null.
struct StatsView {
  std::string container_group_name;
  std::string instance_id;
  std::string machine_id;
  std::optional<std::string> hostname;
  std::string state;
  bool ready = false;
  int64_t restarts = 0;
  std::optional<double> cpu_cores;
  int64_t cpu_limit = 0;  // cores
  std::optional<int64_t> memory_bytes;
  int64_t memory_limit_bytes = 0;
  std::optional<double> requests_per_second;
  std::optional<int64_t> in_flight;
};
BOOST_DESCRIBE_STRUCT(StatsView, (),
                      (container_group_name, instance_id, machine_id, hostname, state, ready,
                       restarts, cpu_cores, cpu_limit, memory_bytes, memory_limit_bytes,
                       requests_per_second, in_flight))

struct StatsListView {
  std::vector<StatsView> items;
};
BOOST_DESCRIBE_STRUCT(StatsListView, (), (items))

struct GroupInsightView {
  std::string name;
  int64_t ready = 0;
  int64_t restarts = 0;
};
BOOST_DESCRIBE_STRUCT(GroupInsightView, (), (name, ready, restarts))

struct GroupInsightListView {
  std::vector<GroupInsightView> items;
};
BOOST_DESCRIBE_STRUCT(GroupInsightListView, (), (items))

struct InstanceInsightView {
  std::string instance_id;
  std::string machine_id;
  std::string hostname;
  bool silent = false;  // its machine does not speak
};
BOOST_DESCRIBE_STRUCT(InstanceInsightView, (), (instance_id, machine_id, hostname, silent))

struct InstanceInsightListView {
  std::vector<InstanceInsightView> items;
};
BOOST_DESCRIBE_STRUCT(InstanceInsightListView, (), (items))

// Whether replicas that wait for a node may get one by themselves.
struct PlacementView {
  int64_t waiting = 0;
  bool may_change = true;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(PlacementView, (), (waiting, may_change, reason))

struct VersionView {
  int64_t version = 0;
  bool current = false;
  std::optional<std::string> begin_time;
  std::optional<std::string> changes;
};
BOOST_DESCRIBE_STRUCT(VersionView, (), (version, current, begin_time, changes))

struct VersionListView {
  std::vector<VersionView> items;
};
BOOST_DESCRIBE_STRUCT(VersionListView, (), (items))

struct RollbackView {
  int64_t version = 0;
  int64_t as_version = 0;
};
BOOST_DESCRIBE_STRUCT(RollbackView, (), (version, as_version))

struct UpdatePolicyView {
  std::optional<std::string> at_once;
  std::string default_at_once;
};
BOOST_DESCRIBE_STRUCT(UpdatePolicyView, (), (at_once, default_at_once))

struct LogLineView {
  int64_t sequence = 0;
  std::string time;
  std::optional<std::string> stream;
  std::string text;
  std::optional<std::string> instance_id;
};
BOOST_DESCRIBE_STRUCT(LogLineView, (), (sequence, time, stream, text, instance_id))

struct NodeGpuView {
  std::optional<std::string> name;
  std::optional<bool> pretended;
  std::optional<std::string> device;
  std::optional<int64_t> memory_mb;  // not known: nothing
  std::optional<int64_t> memory_free_mb;
};
BOOST_DESCRIBE_STRUCT(NodeGpuView, (), (name, pretended, device, memory_mb, memory_free_mb))

struct MeasurementView {
  std::string name;
  std::optional<double> latency_ms;
  std::optional<double> mbit_per_s;
  std::optional<std::string> problem;
  std::string time;
};
BOOST_DESCRIBE_STRUCT(MeasurementView, (), (name, latency_ms, mbit_per_s, problem, time))

struct NodeInstanceView {
  std::string organization_name;
  std::string project_name;
  std::string container_group_name;
  std::string instance_id;
  std::string state;
  std::optional<bool> ready;
};
BOOST_DESCRIBE_STRUCT(NodeInstanceView, (),
                      (organization_name, project_name, container_group_name, instance_id, state,
                       ready))

struct NodeView {
  std::string machine_id;
  std::string hostname;
  std::string state;
  std::string mode;
  std::optional<bool> drained;
  std::optional<std::string> country;
  double cpu = 0;
  double cpu_used = 0;
  int64_t memory_mb = 0;
  int64_t memory_used_mb = 0;
  std::optional<int64_t> storage_mb;
  std::vector<NodeGpuView> gpus;
  std::optional<std::string> gpu_driver;
  std::optional<std::string> cuda;
  std::optional<std::vector<MeasurementView>> measurements;
  std::optional<double> cpu_share_percent;
  std::optional<std::string> runtime;
  std::vector<std::string> warnings;
  std::optional<std::string> last_heard_time;
  std::vector<NodeInstanceView> instances;
};
BOOST_DESCRIBE_STRUCT(NodeView, (),
                      (machine_id, hostname, state, mode, drained, country, cpu, cpu_used,
                       memory_mb, memory_used_mb, storage_mb, gpus, gpu_driver, cuda, measurements,
                       cpu_share_percent, runtime, warnings, last_heard_time, instances))

struct NodeListView {
  std::vector<NodeView> items;
};
BOOST_DESCRIBE_STRUCT(NodeListView, (), (items))

struct GatewayView {
  std::string name;
  std::string tunnel_endpoint;
  std::string state;
};
BOOST_DESCRIBE_STRUCT(GatewayView, (), (name, tunnel_endpoint, state))

struct GatewayListView {
  std::vector<GatewayView> items;
};
BOOST_DESCRIBE_STRUCT(GatewayListView, (), (items))

struct TokenView {
  std::string name;
  std::string token;
};
BOOST_DESCRIBE_STRUCT(TokenView, (), (name, token))

// Organizations and projects.
struct NamedView {
  std::string id;
  std::string name;
  std::optional<std::string> display_name;
  std::string create_time;
};
BOOST_DESCRIBE_STRUCT(NamedView, (), (id, name, display_name, create_time))

struct GpuPriceView {
  std::string price;
};
BOOST_DESCRIBE_STRUCT(GpuPriceView, (), (price))

struct GpuClassView {
  std::string id;
  std::string name;
  std::vector<GpuPriceView> prices;  // high, medium, low, batch
};
BOOST_DESCRIBE_STRUCT(GpuClassView, (), (id, name, prices))

struct GpuClassListView {
  std::vector<GpuClassView> items;
};
BOOST_DESCRIBE_STRUCT(GpuClassListView, (), (items))

struct NamedListView {
  std::vector<NamedView> items;
};
BOOST_DESCRIBE_STRUCT(NamedListView, (), (items))

struct QuotasView {
  int64_t container_replicas_quota = 0;
  int64_t container_replicas_used = 0;
  std::optional<int64_t> max_container_group_reallocations_per_minute;
  std::optional<int64_t> max_container_group_recreates_per_minute;
  std::optional<int64_t> max_container_group_restarts_per_minute;
};
BOOST_DESCRIBE_STRUCT(QuotasView, (),
                      (container_replicas_quota, container_replicas_used,
                       max_container_group_reallocations_per_minute,
                       max_container_group_recreates_per_minute,
                       max_container_group_restarts_per_minute))

struct KeyView {
  std::string id;
  std::string user;
  std::vector<std::string> organizations;
  std::string create_time;
  std::optional<std::string> key;  // in the answer to its creation only
};
BOOST_DESCRIBE_STRUCT(KeyView, (), (id, user, organizations, create_time, key))

struct KeyListView {
  std::vector<KeyView> items;
};
BOOST_DESCRIBE_STRUCT(KeyListView, (), (items))

}  // namespace mesclun::client
