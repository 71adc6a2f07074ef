// Container groups: what people ask for, and what they are told about it (api.md §4 to §6).
#pragma once

#include <span>

#include "api/probe.h"
#include "base/clock.h"

namespace mesclun::api {

enum class Priority { High, Medium, Low, Batch };  // best first
enum class RestartPolicy { Always, OnFailure, Never };
enum class LoadBalancer { RoundRobin, LeastNumberOfConnections, Adaptive };
enum class Protocol { Http };
enum class GroupStatus { Pending, Running, Stopped, Succeeded, Failed, Deploying };

struct Resources {
  int32_t cpu = 0;
  int32_t memory = 0;                     // MB
  std::vector<std::string> gpu_classes;   // ids; any of them will do
  std::optional<int64_t> storage_amount;  // bytes
  std::optional<int32_t> shm_size;        // MB
  bool operator==(const Resources&) const = default;
};
BOOST_DESCRIBE_STRUCT(Resources, (), (cpu, memory, gpu_classes, storage_amount, shm_size))

struct Container {
  std::string image;
  std::vector<std::string> command;  // empty: the image's own
  Resources resources;
  std::map<std::string, std::string> environment_variables;
  std::optional<bool> image_caching;
  std::optional<json::object> logging;  // one sink (log_sink.h)
  // Read by registry_authentication.h; never part of a spec that was read.
  std::optional<json::object> registry_authentication;
  std::optional<Priority> priority;  // set once completed
  bool operator==(const Container&) const = default;
};
BOOST_DESCRIBE_STRUCT(Container, (),
                      (image, command, resources, environment_variables, image_caching, logging,
                       registry_authentication, priority))

struct Networking {
  bool auth = false;
  int32_t port = 0;
  Protocol protocol = Protocol::Http;
  LoadBalancer load_balancer = LoadBalancer::RoundRobin;
  bool single_connection_limit = false;
  int32_t client_request_timeout = 100'000;   // ms
  int32_t server_response_timeout = 100'000;  // ms
  bool operator==(const Networking&) const = default;
};
BOOST_DESCRIBE_STRUCT(Networking, (),
                      (auth, port, protocol, load_balancer, single_connection_limit,
                       client_request_timeout, server_response_timeout))
constexpr bool json_has_default(const Networking*, std::string_view member) {
  return member != "auth" && member != "port" && member != "protocol";
}

struct QueueConnection {
  std::string queue_name;
  int32_t port = 0;
  std::string path;
  bool operator==(const QueueConnection&) const = default;
};
BOOST_DESCRIBE_STRUCT(QueueConnection, (), (queue_name, port, path))

struct QueueAutoscaler {
  int32_t min_replicas = 0;
  int32_t max_replicas = 0;
  int32_t desired_queue_length = 0;
  std::optional<int32_t> polling_period;  // seconds
  std::optional<int32_t> max_upscale_per_minute;
  std::optional<int32_t> max_downscale_per_minute;
  bool operator==(const QueueAutoscaler&) const = default;
};
BOOST_DESCRIBE_STRUCT(QueueAutoscaler, (),
                      (min_replicas, max_replicas, desired_queue_length, polling_period,
                       max_upscale_per_minute, max_downscale_per_minute))

struct ScalingAction {
  std::string schedule;  // five-field cron, UTC
  int32_t replicas = 0;
  bool operator==(const ScalingAction&) const = default;
};
BOOST_DESCRIBE_STRUCT(ScalingAction, (), (schedule, replicas))

// The whole wish of the user, in the shape of the create call. The same shape is stored.
struct GroupSpec {
  std::string name;
  std::string display_name;  // empty: the name
  Container container;
  bool autostart_policy = false;
  RestartPolicy restart_policy = RestartPolicy::Always;
  int32_t replicas = 0;
  std::vector<std::string> country_codes;  // lower case, sorted; empty: anywhere
  std::optional<Networking> networking;
  std::optional<Probe> liveness_probe;
  std::optional<Probe> readiness_probe;
  std::optional<Probe> startup_probe;
  std::optional<QueueConnection> queue_connection;
  std::optional<QueueAutoscaler> queue_autoscaler;
  std::vector<ScalingAction> scaling_actions;
  bool scheduled_scaling_enabled = false;
  bool operator==(const GroupSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(GroupSpec, (),
                      (name, display_name, container, autostart_policy, restart_policy, replicas,
                       country_codes, networking, liveness_probe, readiness_probe, startup_probe,
                       queue_connection, queue_autoscaler, scaling_actions,
                       scheduled_scaling_enabled))
constexpr std::string_view json_member_name(const GroupSpec*, std::string_view member) {
  if (member == "scaling_actions") return "scaling-actions";
  if (member == "scheduled_scaling_enabled") return "scheduled-scaling-enabled";
  return member;
}
constexpr bool json_has_default(const GroupSpec*, std::string_view member) {
  return member == "display_name" || member == "autostart_policy" || member == "restart_policy" ||
         member == "scheduled_scaling_enabled";
}

struct GpuClass;

// What a cloud takes: its GPU classes, and bounds that are its operator's choice. The defaults take
// what is published for users of the portal; the contract's own bounds are 20 and 1,000, and some
// generated clients refuse an answer that goes beyond them.
struct SpecRules {
  SpecRules(const std::vector<GpuClass>& classes);  // which outlive it

  std::span<const GpuClass> gpu_classes;
  int32_t probe_failures_max = 1000;
  size_t command_item_max = 32'768;  // characters
};

// Checks a create call and fills in every default. Names of GPU classes become ids; numbers and
// booleans among the environment's values become text.
Result<GroupSpec> read_group_spec(const json::value& document, const SpecRules& rules);

// What another spec does to what runs (api.md §6).
struct GroupChange {
  GroupSpec spec;
  bool new_version = false;
  bool restart = false;  // an instance must be started anew to carry it
  bool image_changed = false;
  bool replicas_changed = false;
  bool placement_changed =
      false;  // countries or resources: instances whose node no longer fits must move
};

// From one spec of a group to a later one, of whatever version.
GroupChange change_of(const GroupSpec& old, GroupSpec now);

// Applies a merge patch to a spec. Null means what §6 says for the field; an immutable member that
// differs is refused.
Result<GroupChange> patch_group_spec(const GroupSpec& old, const json::value& patch,
                                     const SpecRules& rules);

// The effective priority: without a GPU a group always runs at the lowest level (lifecycle.md §7).
Priority effective_priority(const GroupSpec& spec);

struct InstanceStatusCounts {
  int32_t allocating_count = 0;
  int32_t creating_count = 0;
  int32_t running_count = 0;
  int32_t stopping_count = 0;
};
BOOST_DESCRIBE_STRUCT(InstanceStatusCounts, (),
                      (allocating_count, creating_count, running_count, stopping_count))

// Everything that an answer shows beside the spec.
struct GroupFacts {
  std::string id;
  std::string organization_name;
  std::string project_name;
  std::string dns;   // empty without networking
  std::string hash;  // image digest, empty until known
  int64_t size = 0;  // image bytes, 0 until known
  int32_t version = 1;
  bool pending_change = false;
  GroupStatus status = GroupStatus::Pending;
  std::string description;
  WallTime create_time{};
  WallTime update_time{};
  WallTime start_time{};   // epoch: never started
  WallTime finish_time{};  // epoch: never finished
  InstanceStatusCounts counts;
};

json::object group_json(const GroupSpec& spec, const GroupFacts& facts);

// The Go client of the virtual kubelet refuses members newer than 0.9.0-alpha.11 (api.md §12, fact
// 4).
bool is_strict_go_client(std::string_view user_agent);
void drop_members_unknown_to_go(json::object& group);

}  // namespace mesclun::api

template <>
struct mesclun::JsonEnum<mesclun::api::Priority> {
  using enum mesclun::api::Priority;
  static constexpr std::pair<mesclun::api::Priority, std::string_view> kNames[] = {
      {High, "high"}, {Medium, "medium"}, {Low, "low"}, {Batch, "batch"}};
};
template <>
struct mesclun::JsonEnum<mesclun::api::RestartPolicy> {
  using enum mesclun::api::RestartPolicy;
  static constexpr std::pair<mesclun::api::RestartPolicy, std::string_view> kNames[] = {
      {Always, "always"}, {OnFailure, "on_failure"}, {Never, "never"}};
};
template <>
struct mesclun::JsonEnum<mesclun::api::LoadBalancer> {
  using enum mesclun::api::LoadBalancer;
  static constexpr std::pair<mesclun::api::LoadBalancer, std::string_view> kNames[] = {
      {RoundRobin, "round_robin"},
      {LeastNumberOfConnections, "least_number_of_connections"},
      {Adaptive, "adaptive"}};
};
template <>
struct mesclun::JsonEnum<mesclun::api::Protocol> {
  static constexpr std::pair<mesclun::api::Protocol, std::string_view> kNames[] = {
      {mesclun::api::Protocol::Http, "http"}};
};
template <>
struct mesclun::JsonEnum<mesclun::api::GroupStatus> {
  using enum mesclun::api::GroupStatus;
  static constexpr std::pair<mesclun::api::GroupStatus, std::string_view> kNames[] = {
      {Pending, "pending"},     {Running, "running"}, {Stopped, "stopped"},
      {Succeeded, "succeeded"}, {Failed, "failed"},   {Deploying, "deploying"}};
};

// Some fifty functions, made once in container_group.cc.
namespace mesclun {
extern template void read_json(const json::value& value, api::GroupSpec& out, const JsonPath& path,
                               JsonProblems& problems);
extern template json::value write_json(const api::GroupSpec& in);
}  // namespace mesclun
