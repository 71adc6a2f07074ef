#include "runtime/docker/container_config.h"

#include <fmt/format.h>

#include "runtime/docker/answer.h"
#include "runtime/docker/image_pull.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kHostNameMax = 63;
// Of the engine's fourteen: without raw sockets, device nodes, and capabilities for files.
constexpr const char* kCapabilities[] = {"CHOWN",   "DAC_OVERRIDE",     "FOWNER",     "FSETID",
                                         "KILL",    "NET_BIND_SERVICE", "SETGID",     "SETUID",
                                         "SETPCAP", "SYS_CHROOT",       "AUDIT_WRITE"};

void append_strings(std::vector<std::string>& out, const json::value& config,
                    std::string_view member) {
  const json::value* list = member_of(config, member);
  if (list == nullptr || !list->is_array()) return;
  for (const json::value& item : list->as_array()) {
    if (item.is_string()) out.emplace_back(item.as_string());
  }
}

}  // namespace

json::object container_limits(RunLimits limits) {
  json::object out;
  out["NanoCpus"] = static_cast<int64_t>(limits.cpu_cores * 1e9);
  out["CpuShares"] = cpu_shares(limits.cpu_cores);
  out["Memory"] = limits.memory_bytes;
  out["MemorySwap"] = limits.memory_bytes;
  return out;
}

json::object container_config(const RunSpec& spec, const ContainerPlan& plan) {
  json::object host =
      container_limits({.cpu_cores = spec.cpu_cores, .memory_bytes = spec.memory_bytes});
  if (!plan.cgroup_parent.empty()) host["CgroupParent"] = plan.cgroup_parent;
  host["NetworkMode"] = "none";
  host["Binds"] =
      json::array{plan.starter + ":/.mesclun/start:ro", plan.door + ":/.mesclun/door:ro"};
  host["ShmSize"] = spec.shm_bytes;
  host["PidsLimit"] = plan.processes_max;
  host["LogConfig"] = {
      {"Type", "json-file"},
      {"Config", {{"max-size", std::to_string(plan.log_bytes_max)}, {"max-file", "2"}}}};
  host["SecurityOpt"] = json::array{"no-new-privileges"};
  host["CapDrop"] = json::array{"ALL"};
  json::array capabilities(std::begin(kCapabilities), std::end(kCapabilities));
  host["CapAdd"] = std::move(capabilities);
  json::array servers(plan.name_servers.begin(), plan.name_servers.end());
  if (!servers.empty()) host["Dns"] = std::move(servers);
  if (!spec.gpus.empty()) {
    // Lists of one list: braces would take the inner one for a copy.
    json::array any_of;
    any_of.push_back(json::array{"gpu"});
    json::object request{{"Driver", "nvidia"}, {"Capabilities", std::move(any_of)}};
    request["DeviceIDs"] = json::array(spec.gpus.begin(), spec.gpus.end());
    json::array requests;
    requests.push_back(std::move(request));
    host["DeviceRequests"] = std::move(requests);
  }
  host["RestartPolicy"] = {{"Name", "no"}};

  json::object out;
  out["Image"] = full_image_name(spec.image);
  // Where NVIDIA's runtime is the engine's usual one, an image could ask for all of them.
  if (spec.gpus.empty()) out["Env"] = json::array{"NVIDIA_VISIBLE_DEVICES=void"};
  out["Hostname"] = spec.instance_id.substr(0, kHostNameMax);
  out["Entrypoint"] = json::array{"/.mesclun/start"};
  out["Cmd"] = json::array();
  out["Labels"] = {{kFolderLabel, plan.data_folder}, {kFilesLabel, plan.files}};
  // Health is judged by the probes of the group alone.
  out["Healthcheck"] = {{"Test", json::array{"NONE"}}};
  out["HostConfig"] = std::move(host);
  return out;
}

std::vector<std::string> command_of_image(const json::value& image) {
  std::vector<std::string> out;
  const json::value* config = member_of(image, "Config");
  if (config == nullptr) return out;
  append_strings(out, *config, "Entrypoint");
  append_strings(out, *config, "Cmd");
  return out;
}

}  // namespace mesclun::runtime
