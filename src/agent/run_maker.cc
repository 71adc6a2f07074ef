#include "agent/run_maker.h"

#include <algorithm>

namespace mesclun::agent {

Result<api::GroupSpec> read_spec(const json::object& spec) {
  api::GroupSpec out;
  JsonProblems problems;
  read_json(json::value(spec), out, JsonPath{}, problems);
  if (!problems.empty()) return problems.to_error();
  return out;
}

std::string cannot_run(const api::GroupSpec& spec) {
  for (const auto& probe : {spec.startup_probe, spec.liveness_probe, spec.readiness_probe}) {
    if (probe && !probe->http && !probe->tcp && !probe->exec && !probe->grpc) {
      return "the node cannot carry out such a probe; a newer agent may";
    }
  }
  return "";
}

std::map<std::string, std::string> make_environment(const link::GroupIdentity& group,
                                                    const api::GroupSpec& spec,
                                                    std::string_view instance_id,
                                                    std::string_view machine_id) {
  std::map<std::string, std::string> environment = spec.container.environment_variables;
  environment.emplace("HOSTNAME", instance_id);
  environment["SALAD_ORGANIZATION_NAME"] = group.organization_name;
  environment["SALAD_ORGANIZATION_ID"] = group.organization_id;
  environment["SALAD_PROJECT_NAME"] = group.project_name;
  environment["SALAD_PROJECT_ID"] = group.project_id;
  environment["SALAD_CONTAINER_GROUP_NAME"] = group.group_name;
  environment["SALAD_CONTAINER_GROUP_ID"] = group.group_id;
  environment["SALAD_INSTANCE_ID"] = instance_id;
  environment["SALAD_MACHINE_ID"] = machine_id;
  return environment;
}

runtime::RunLimits limits_of(const api::GroupSpec& spec, const NodeIdentity& node) {
  return {.cpu_cores = spec.container.resources.cpu * node.cpu_share_percent / 100.0,
          .memory_bytes = int64_t{spec.container.resources.memory} * 1024 * 1024,
          .disk_bytes = spec.container.resources.storage_amount.value_or(0)};
}

runtime::RunSpec make_run(const Assignment& assignment, const api::GroupSpec& spec,
                          const NodeIdentity& node, std::string instance_id, std::string files_of) {
  runtime::RunSpec run;
  run.image = spec.container.image;
  run.image_caching = spec.container.image_caching.value_or(false);
  run.command = spec.container.command;
  run.environment = make_environment(assignment.group, spec, instance_id, node.machine_id);
  if (assignment.wish.nodes_left) {
    run.environment.emplace("MESCLUN_NODES_LEFT", std::to_string(*assignment.wish.nodes_left));
  }
  // The engine of a container and the libraries of NVIDIA: whoever was given no card sees none.
  const std::string& gpu = assignment.wish.gpu;
  run.environment["NVIDIA_VISIBLE_DEVICES"] = gpu.empty() ? "void" : gpu;
  if (std::ranges::find(node.gpus, gpu) != node.gpus.end()) run.gpus = {gpu};
  run.environment["CUDA_VISIBLE_DEVICES"] = gpu.empty() ? "-1" : gpu;
  const runtime::RunLimits limits = limits_of(spec, node);
  run.cpu_cores = limits.cpu_cores;
  run.memory_bytes = limits.memory_bytes;
  run.disk_bytes = limits.disk_bytes;
  if (const auto shm = spec.container.resources.shm_size) {
    run.shm_bytes = int64_t{*shm} * 1024 * 1024;
  }
  if (spec.networking) {
    run.port = spec.networking->port;
  } else if (spec.queue_connection) {
    run.port = spec.queue_connection->port;
  }
  run.files_of = std::move(files_of);
  run.label = {{"allocation_id", assignment.allocation_id},
               {"group_id", assignment.group.group_id},
               {"group_name", assignment.group.group_name}};
  run.instance_id = std::move(instance_id);
  return run;
}

}  // namespace mesclun::agent
