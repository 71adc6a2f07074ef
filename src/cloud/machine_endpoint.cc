#include "cloud/machine_endpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/log.h"
#include "cloud/fleet_admission.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_nodes.h"

namespace mesclun::cloud {

namespace {

std::string_view state_of(const Node& node) {
  if (node.banned) return "banned";
  if (node.online()) return "online";
  return node.live.silent_beyond_grace ? "offline" : "silent";
}

// With what is free of each; null: nobody said so lately.
json::array gpus_json(const Node& node, const link::MachineReading* reading) {
  json::array out;
  for (const link::GpuFacts& facts : node.facts.gpus) {
    json::object gpu = write_json(facts).as_object();
    gpu["memory_free_mb"] = nullptr;
    if (facts.memory_mb == 0) gpu["memory_mb"] = nullptr;
    if (reading != nullptr) {
      const auto found = std::ranges::find(reading->gpus, facts.device, &link::GpuReading::device);
      if (found != reading->gpus.end()) gpu["memory_free_mb"] = found->memory_free_mb;
    }
    out.push_back(std::move(gpu));
  }
  return out;
}

json::array measurements_json(const link::MachineReading& reading) {
  json::array out;
  for (const link::EndpointReading& endpoint : reading.endpoints) {
    json::object one = write_json(endpoint).as_object();
    one["time"] = format_rfc3339(from_unix_nanos(endpoint.time));
    out.push_back(std::move(one));
  }
  return out;
}

json::object node_json(const Fleet& fleet, const Node& node, const link::MachineReading* reading,
                       Moment now) {
  json::object out;
  out["machine_id"] = node.id;
  out["hostname"] = node.facts.hostname;
  out["state"] = state_of(node);
  out["mode"] = enum_name(node.mode);
  out["drained"] = node.drained;
  out["country"] = node.facts.country;
  out["cpu"] = node.facts.cpu;
  out["memory_mb"] = node.facts.memory_mb;
  out["storage_mb"] = node.facts.storage_mb;
  out["gpus"] = gpus_json(node, reading);
  out["gpu_driver"] = node.facts.gpu_driver;
  out["cuda"] = node.facts.cuda;
  out["measurements"] = reading == nullptr ? json::array() : measurements_json(*reading);
  out["cpu_share_percent"] = node.facts.cpu_share_percent;
  out["runtime"] = node.facts.runtime;
  std::vector<std::string> warnings = node.facts.warnings;
  if (!node.trouble.empty()) warnings.push_back("takes nothing new: " + node.trouble);
  out["warnings"] = write_json(warnings);
  const WallTime heard = node.live.session != 0 ? now.wall - (now.steady - node.live.last_heard)
                                                : from_unix_nanos(node.last_heard_time);
  out["last_heard_time"] = format_rfc3339(heard);
  int64_t cpu = 0;
  int64_t memory = 0;
  json::array instances;
  for (const std::string& id : fleet.allocations.on_node(node.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.done() || allocation.lost) continue;
    const Group& group = fleet.groups.at(allocation.group_id);
    cpu += group.spec.container.resources.cpu;
    memory += group.spec.container.resources.memory;
    json::object instance;
    instance["organization_name"] = group.organization_name;
    instance["project_name"] = group.project_name;
    instance["container_group_name"] = group.spec.name;
    instance["instance_id"] = allocation.status.instance_id;
    instance["state"] = enum_name(allocation.state());
    instance["ready"] = allocation.serves();
    instance["leaving"] = allocation.leaving();
    instances.push_back(std::move(instance));
  }
  out["cpu_used"] = cpu;
  out["memory_used_mb"] = memory;
  out["instances"] = std::move(instances);
  return out;
}

json::object gateway_json(const RouteHub::GatewayView& gateway) {
  json::object out;
  out["name"] = gateway.name;
  out["tunnel_endpoint"] = gateway.tunnel_endpoint;
  out["state"] = gateway.connected ? "online" : "offline";
  return out;
}

json::object list_of(json::array items) {
  json::object out;
  out["items"] = std::move(items);
  return out;
}

}  // namespace

Answer MachineEndpoint::handle_nodes(HttpRequest request, std::vector<std::string> path) {
  const std::string method = request.head.method;
  if (path.size() == 1) {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await list_nodes();
  }
  if (path.size() == 2) {
    if (method != "DELETE") co_return method_not_allowed("DELETE");
    co_return co_await put_out(path[1], false);
  }
  constexpr std::string_view kActions[] = {"ban", "unban", "drain", "undrain"};
  if (path.size() != 3 || std::ranges::find(kActions, path[2]) == std::end(kActions))
    co_return no_such_path();
  if (method != "POST") co_return method_not_allowed("POST");
  CO_TRY_DO(read_no_document(request));
  if (path[2] == "ban") co_return co_await put_out(path[1], true);
  co_return co_await act_on_node(path[1], path[2]);
}

Answer MachineEndpoint::act_on_node(std::string node_id, std::string action) {
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) {
    if (action == "drain") return drain_node(fleet, node_id, now);
    if (action == "undrain") return undrain_node(fleet, node_id, now);
    return unban_node(fleet, node_id);
  };
  CO_TRY_DO(co_await parts_.loop.submit(std::move(command)));
  log_info("nodes", "the operator changed a node", {{"machine_id", node_id}, {"action", action}});
  co_return empty_answer(204);
}

Answer MachineEndpoint::list_nodes() {
  CO_TRY(json::array items,
         co_await parts_.loop.ask<json::array>([this](const Fleet& fleet, Moment now) {
           json::array out;
           for (const auto& [id, node] : fleet.nodes.all()) {
             const auto* reading = parts_.usage.machine(id, parts_.clock.now());
             out.push_back(node_json(fleet, node, reading, now));
           }
           return out;
         }));
  co_return json_answer(200, list_of(std::move(items)));
}

Answer MachineEndpoint::put_out(std::string node_id, bool ban) {
  FleetLoop::Command command = [node_id, ban](Fleet& fleet, Moment now) {
    return ban ? ban_node(fleet, node_id, now) : forget_node(fleet, node_id, now);
  };
  CO_TRY_DO(co_await parts_.loop.submit(std::move(command)));
  parts_.nodes.expel(node_id, ban ? banned_error() : forgotten_error());
  log_info("nodes", ban ? "banned" : "forgotten", {{"machine_id", node_id}});
  co_return empty_answer(204);
}

Answer MachineEndpoint::handle_gateways(HttpRequest request, std::vector<std::string> path) {
  const std::string method = request.head.method;
  if (path.size() == 1) {
    if (method != "GET") co_return method_not_allowed("GET");
    json::array items;
    for (const auto& gateway : parts_.gateways.list()) items.push_back(gateway_json(gateway));
    co_return json_answer(200, list_of(std::move(items)));
  }
  if (path.size() != 2) co_return no_such_path();
  if (method != "DELETE") co_return method_not_allowed("DELETE");
  CO_TRY_DO(co_await parts_.gateways.forget(path[1]));
  co_return empty_answer(204);
}

// Where the next start reads it first: a token that was given out must not be forgotten.
Answer MachineEndpoint::handle_tokens(HttpRequest request, std::vector<std::string> path) {
  if (path.size() != 3 || path[2] != "rotate") co_return no_such_path();
  const bool join = path[1] == "join";
  if (!join && path[1] != "gateway") co_return no_such_path();
  if (request.head.method != "POST") co_return method_not_allowed("POST");
  CO_TRY_DO(read_no_document(request));
  if (!parts_.keep_secret) {
    co_return Error{ErrorCode::Unimplemented, "this cloud has no folder to keep a token in"};
  }
  const std::string token = new_secret(parts_.random);
  CO_TRY_DO(parts_.keep_secret(path[1] + ".token", token));
  if (join) {
    parts_.nodes.set_join_token(token);
  } else {
    parts_.gateways.set_gateway_token(token);
  }
  log_info("cloud", "a token was rotated", {{"token", path[1]}});
  json::object out;
  out["name"] = path[1];
  out["token"] = token;
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
