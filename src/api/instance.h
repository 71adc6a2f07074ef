// Instances, quotas and system events as the public API shows them (api.md §7, §9, §11.3).
#pragma once

#include "api/container_group.h"

namespace mesclun::api {

enum class InstanceState { Allocating, Downloading, Creating, Running, Stopping };

// Deletion cost as REST shows and takes it; the metadata service keeps the full int32.
inline constexpr int32_t kDeletionCostMax = 100'000;

struct Instance {
  std::string id;
  std::string machine_id;  // the nil uuid while no node is chosen
  InstanceState state = InstanceState::Allocating;
  std::string update_time;
  int32_t version = 1;
  bool ready = false;
  bool started = false;
  int32_t deletion_cost = 0;               // clamped to 0..kDeletionCostMax
  std::optional<double> pulling_progress;  // per cent; while its image is fetched
};
BOOST_DESCRIBE_STRUCT(Instance, (),
                      (id, machine_id, state, update_time, version, ready, started, deletion_cost,
                       pulling_progress))

// The new deletion cost of a patch, null being 0; nothing if the patch is empty. Any other member
// is refused.
Result<std::optional<int32_t>> read_instance_patch(const json::value& document);

struct GroupQuotas {
  int32_t container_replicas_quota = 500;
  int32_t container_replicas_used = 0;
  int32_t max_container_group_reallocations_per_minute = 10;
  int32_t max_container_group_recreates_per_minute = 10;
  int32_t max_container_group_restarts_per_minute = 10;
};
BOOST_DESCRIBE_STRUCT(GroupQuotas, (),
                      (container_replicas_quota, container_replicas_used,
                       max_container_group_reallocations_per_minute,
                       max_container_group_recreates_per_minute,
                       max_container_group_restarts_per_minute))

struct Quotas {
  GroupQuotas container_groups_quotas;
  std::string create_time;
  std::string update_time;
};
BOOST_DESCRIBE_STRUCT(Quotas, (), (container_groups_quotas, create_time, update_time))

// Members that SDKs of October 2024 require, under their names of then (api.md §13).
void add_older_instance_members(json::object& instance);
void add_older_quota_members(json::object& quotas);

// How a run failed, for the same SDKs.
struct WorkloadError {
  std::string detail;
  std::string failed_at;
  std::string instance_id;
  std::string machine_id;
  std::string allocated_at;
  Nullable<std::string> started_at;
  int32_t version = 1;
};
BOOST_DESCRIBE_STRUCT(WorkloadError, (),
                      (detail, failed_at, instance_id, machine_id, allocated_at, started_at,
                       version))

struct SystemLog {
  std::string event_name;
  std::string event_time;
  std::string version;
  std::string resource_gpu_class;
  Nullable<int32_t> resource_cpu;
  Nullable<int32_t> resource_memory;
  Nullable<int64_t> resource_storage_amount;
  std::optional<std::string> instance_id;
  std::optional<std::string> machine_id;
};
BOOST_DESCRIBE_STRUCT(SystemLog, (),
                      (event_name, event_time, version, resource_gpu_class, resource_cpu,
                       resource_memory, resource_storage_amount, instance_id, machine_id))

// Sizes outside the ranges that published clients check become null.
void set_system_log_resources(SystemLog& log, const Resources& resources);

}  // namespace mesclun::api

template <>
struct mesclun::JsonEnum<mesclun::api::InstanceState> {
  using enum mesclun::api::InstanceState;
  static constexpr std::pair<mesclun::api::InstanceState, std::string_view> kNames[] = {
      {Allocating, "allocating"},
      {Downloading, "downloading"},
      {Creating, "creating"},
      {Running, "running"},
      {Stopping, "stopping"}};
};
