#include "api/instance.h"

#include "api/checks.h"

namespace mesclun::api {

namespace {

struct InstancePatch {
  Patch<int32_t> deletion_cost;
};
BOOST_DESCRIBE_STRUCT(InstancePatch, (), (deletion_cost))

template <class T>
void set_if_within(Nullable<T>& out, T value, T min, T max) {
  if (value >= min && value <= max) out.emplace(value);
}

}  // namespace

Result<std::optional<int32_t>> read_instance_patch(const json::value& document) {
  InstancePatch patch;
  JsonProblems problems;
  problems.refuse_unknown_members = true;
  const JsonPath root;
  read_json(document, patch, root, problems);
  if (problems.empty() && patch.deletion_cost.has_value()) {
    check_range(patch.deletion_cost.value, 0, kDeletionCostMax, root / "deletion_cost", problems);
  }
  if (!problems.empty()) return problems.to_error();
  if (patch.deletion_cost.absent()) return std::optional<int32_t>();
  return std::optional<int32_t>(patch.deletion_cost.is_null() ? 0 : patch.deletion_cost.value);
}

// Copied first: a new member moves the others.
void add_older_instance_members(json::object& instance) {
  json::value id = instance.at("id");
  instance["instance_id"] = std::move(id);
}

void add_older_quota_members(json::object& quotas) {
  json::object& groups = quotas.at("container_groups_quotas").as_object();
  // One number bounds both: a group has at least one replica, or costs nothing.
  const int64_t replicas = groups.at("container_replicas_quota").to_number<int64_t>();
  groups["max_created_container_groups"] = replicas;
  groups["container_instance_quota"] = replicas;
}

void set_system_log_resources(SystemLog& log, const Resources& resources) {
  set_if_within(log.resource_cpu, resources.cpu, 1, 16);
  set_if_within(log.resource_memory, resources.memory, 1024, 61'440);
  set_if_within<int64_t>(log.resource_storage_amount, resources.storage_amount.value_or(0),
                         1'073'741'824, 268'435'456'000);
}

}  // namespace mesclun::api
