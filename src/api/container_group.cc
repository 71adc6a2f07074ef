#include "api/container_group.h"

#include "api/checks.h"
#include "api/gpu_class.h"
#include "api/log_sink.h"
#include "api/names.h"
#include "api/needs.h"
#include "base/ids.h"
#include "base/text.h"

namespace mesclun::api {

namespace {

constexpr size_t kEnvironmentValueLengthMax = 32'768;  // api.md, open point 6
constexpr std::string_view kProbeActions[] = {"exec", "http", "tcp", "grpc"};
constexpr std::string_view kProbes[] = {"liveness_probe", "readiness_probe", "startup_probe"};

void check_environment(const std::map<std::string, std::string>& variables, const JsonPath& path,
                       JsonProblems& problems) {
  check_count(variables.size(), 0, 1000, path, problems);
  for (const auto& [name, value] : variables) {
    const JsonPath item = path / name;
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      problems.add(item, "is not a name for an environment variable");
    }
    check_length(value, 0, kEnvironmentValueLengthMax, item, problems);
    if (value.find('\0') != std::string::npos) problems.add(item, "must not contain a zero byte");
  }
}

void check_container(Container& container, const SpecRules& rules, const JsonPath& path,
                     JsonProblems& problems) {
  std::string& image = container.image;
  for (std::string_view scheme : {"https://", "http://"}) {
    if (image.starts_with(scheme)) image.erase(0, scheme.size());
  }
  check_length(image, 1, 2048, path / "image", problems);
  if (image.find_first_of(" \t\r\n") != std::string::npos) {
    problems.add(path / "image", "must not contain spaces");
  }
  const JsonPath command = path / "command";
  check_count(container.command.size(), 0, 100, command, problems);
  for (size_t i = 0; i < container.command.size(); ++i) {
    const JsonPath item{.parent = &command, .index = static_cast<int64_t>(i)};
    check_length(container.command[i], 1, rules.command_item_max, item, problems);
    if (container.command[i].find('\0') != std::string::npos) {
      problems.add(item, "must not contain a zero byte");
    }
  }
  check_resources(container.resources, rules.gpu_classes, path / "resources", problems);
  check_environment(container.environment_variables, path / "environment_variables", problems);
}

void check_networking(const Networking& networking, const JsonPath& path, JsonProblems& problems) {
  check_range(networking.port, 1, 65535, path / "port", problems);
  check_range(networking.client_request_timeout, 1, 100'000, path / "client_request_timeout",
              problems);
  check_range(networking.server_response_timeout, 1, 100'000, path / "server_response_timeout",
              problems);
}

void check_queue(const GroupSpec& spec, const JsonPath& root, JsonProblems& problems) {
  if (spec.queue_connection) {
    const JsonPath path = root / "queue_connection";
    if (!is_name(spec.queue_connection->queue_name)) {
      problems.add(path / "queue_name", std::string(kNameRule));
    }
    check_range(spec.queue_connection->port, 1, 65535, path / "port", problems);
    check_length(spec.queue_connection->path, 1, 1024, path / "path", problems);
  }
  if (spec.queue_autoscaler) {
    const JsonPath path = root / "queue_autoscaler";
    const QueueAutoscaler& scaler = *spec.queue_autoscaler;
    check_range(scaler.min_replicas, 0, 100, path / "min_replicas", problems);
    check_range(scaler.max_replicas, 1, 500, path / "max_replicas", problems);
    check_range(scaler.desired_queue_length, 1, 100, path / "desired_queue_length", problems);
    if (scaler.polling_period) {
      check_range(*scaler.polling_period, 15, 1800, path / "polling_period", problems);
    }
    if (scaler.max_upscale_per_minute) {
      check_range(*scaler.max_upscale_per_minute, 1, 100, path / "max_upscale_per_minute",
                  problems);
    }
    if (scaler.max_downscale_per_minute) {
      check_range(*scaler.max_downscale_per_minute, 1, 100, path / "max_downscale_per_minute",
                  problems);
    }
    if (scaler.min_replicas > scaler.max_replicas) {
      problems.add(path / "min_replicas", "must not be above max_replicas");
    }
  }
}

// ^([0-9A-Za-z*/,-]+)([\t ]+[0-9A-Za-z*/,-]+){4}$: published clients check answers by it.
bool is_cron_shape(std::string_view text) {
  int fields = 0;
  bool in_field = false;
  for (char c : text) {
    const bool space = c == ' ' || c == '\t';
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                        std::string_view("*/,-").find(c) != std::string_view::npos;
    if (!space && !letter) return false;
    if (space && fields == 0) return false;
    if (letter && !in_field) ++fields;
    in_field = letter;
  }
  return fields == 5 && in_field;
}

void check_scaling_actions(const std::vector<ScalingAction>& actions, const JsonPath& path,
                           JsonProblems& problems) {
  check_count(actions.size(), 0, 100, path, problems);
  for (size_t i = 0; i < actions.size(); ++i) {
    const JsonPath item{.parent = &path, .index = static_cast<int64_t>(i)};
    check_range(actions[i].replicas, 0, 500, item / "replicas", problems);
    if (!is_cron_shape(actions[i].schedule)) {
      problems.add(item / "schedule",
                   "must be a cron expression of five fields, such as 0 8 * * 1-5");
    }
  }
}

void complete_spec(GroupSpec& spec, const SpecRules& rules, JsonProblems& problems) {
  const JsonPath root;
  if (!is_name(spec.name)) problems.add(root / "name", std::string(kNameRule));
  if (spec.display_name.empty()) spec.display_name = spec.name;
  if (!is_display_name(spec.display_name)) {
    problems.add(root / "display_name", std::string(kDisplayNameRule));
  }
  const JsonPath container = root / "container";
  check_container(spec.container, rules, container, problems);
  complete_logging(spec.container.logging, container / "logging", problems);
  check_range(spec.replicas, 0, 500, root / "replicas", problems);
  check_countries(spec.country_codes, root / "country_codes", problems);
  if (spec.networking) check_networking(*spec.networking, root / "networking", problems);
  if (spec.liveness_probe) {
    complete_probe(*spec.liveness_probe, ProbeKind::Liveness, rules.probe_failures_max,
                   root / "liveness_probe", problems);
  }
  if (spec.readiness_probe) {
    complete_probe(*spec.readiness_probe, ProbeKind::Readiness, rules.probe_failures_max,
                   root / "readiness_probe", problems);
  }
  if (spec.startup_probe) {
    complete_probe(*spec.startup_probe, ProbeKind::Startup, rules.probe_failures_max,
                   root / "startup_probe", problems);
  }
  check_queue(spec, root, problems);
  check_scaling_actions(spec.scaling_actions, root / "scaling-actions", problems);
  // Without a value a GPU group runs at the best level.
  if (!spec.container.priority) spec.container.priority = Priority::High;
}

json::object* object_member(json::object& object, std::string_view name) {
  json::value* found = object.if_contains(name);
  return found != nullptr && found->is_object() ? &found->get_object() : nullptr;
}

// What YAML, and people, write for an environment: {"PORT": 80, "DEBUG": true}.
json::value with_text_environment(json::value document) {
  json::object* spec = document.if_object();
  json::object* container = spec == nullptr ? nullptr : object_member(*spec, "container");
  json::object* variables =
      container == nullptr ? nullptr : object_member(*container, "environment_variables");
  if (variables == nullptr) return document;
  for (auto& [name, value] : *variables) {
    if (value.is_double()) {
      value = json::string(fmt::to_string(value.get_double()));
    } else if (value.is_bool() || value.is_int64() || value.is_uint64()) {
      value = json::string(json::serialize(value));
    }
  }
  return document;
}

void drop_nulls(json::object& object, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (const json::value* found = object.if_contains(name); found != nullptr && found->is_null()) {
      object.erase(name);
    }
  }
}

// §6 gives null its own meaning for some members: "no change" there, where a plain merge would
// remove a required one.
void drop_nulls_that_change_nothing(json::object& patch) {
  drop_nulls(patch, {"replicas", "container", "scheduled-scaling-enabled"});
  if (json::object* container = object_member(patch, "container")) {
    drop_nulls(*container, {"image", "resources"});
    if (json::object* resources = object_member(*container, "resources")) {
      drop_nulls(*resources, {"cpu", "memory"});
    }
  }
  if (json::object* networking = object_member(patch, "networking")) {
    drop_nulls(*networking, {"port", "auth", "protocol"});
  }
}

// A probe that gets another action loses the one it had: a member-wise merge would leave two.
void replace_probe_actions(json::object& spec, const json::object& patch) {
  for (std::string_view name : kProbes) {
    const json::value* change = patch.if_contains(name);
    json::object* probe = object_member(spec, name);
    if (probe == nullptr || change == nullptr || !change->is_object()) continue;
    const bool has_action = std::ranges::any_of(kProbeActions, [&](std::string_view action) {
      const json::value* found = change->get_object().if_contains(action);
      return found != nullptr && !found->is_null();
    });
    if (!has_action) continue;
    for (std::string_view action : kProbeActions) probe->erase(action);
  }
}

void replace_log_sink(json::object& spec, json::object& patch) {
  json::object* container = object_member(spec, "container");
  json::object* change = object_member(patch, "container");
  if (container == nullptr || change == nullptr) return;
  json::object* logging = object_member(*container, "logging");
  const json::object* sink = object_member(*change, "logging");
  if (logging != nullptr && sink != nullptr) replace_sink(*logging, *sink);
}

void check_immutable(const GroupSpec& old, const GroupSpec& now, JsonProblems& problems) {
  const JsonPath root;
  const auto refuse = [&](const JsonPath& path) {
    problems.add(path, "cannot be changed after creation");
  };
  if (old.name != now.name) refuse(root / "name");
  if (old.autostart_policy != now.autostart_policy) refuse(root / "autostart_policy");
  if (old.restart_policy != now.restart_policy) refuse(root / "restart_policy");
  if (old.queue_connection != now.queue_connection) refuse(root / "queue_connection");
  if (old.networking.has_value() != now.networking.has_value()) {
    refuse(root / "networking");
  }
}

// What of the gateway's settings instances notice; the others are between it and its clients.
int32_t port_of(const GroupSpec& spec) {
  return spec.networking ? spec.networking->port : 0;
}

json::object container_json(const GroupSpec& spec, const GroupFacts& facts) {
  json::object container = write_json(spec.container).get_object();
  container.erase("priority");
  container.erase("registry_authentication");
  if (!facts.hash.empty()) container["hash"] = facts.hash;
  if (facts.size > 0) container["size"] = facts.size;
  return container;
}

json::object state_json(const GroupFacts& facts) {
  json::object state;
  state["status"] = enum_name(facts.status);
  if (!facts.description.empty()) {
    std::string line = facts.description.substr(0, 1000);
    for (char& c : line) {
      if (c == '\n' || c == '\r') c = ' ';
    }
    state["description"] = line;
  }
  const WallTime never{};
  const WallTime start = facts.start_time == never ? facts.create_time : facts.start_time;
  state["start_time"] = format_rfc3339(start);
  state["finish_time"] = format_rfc3339(facts.finish_time == never ? start : facts.finish_time);
  state["instance_status_counts"] = write_json(facts.counts);
  return state;
}

}  // namespace

Priority effective_priority(const GroupSpec& spec) {
  if (spec.container.resources.gpu_classes.empty()) return Priority::Batch;
  return spec.container.priority.value_or(Priority::High);
}

SpecRules::SpecRules(const std::vector<GpuClass>& classes) : gpu_classes(classes) {}

Result<GroupSpec> read_group_spec(const json::value& document, const SpecRules& rules) {
  GroupSpec spec;
  JsonProblems problems;
  read_json(with_text_environment(document), spec, JsonPath{}, problems);
  // Ranges of members that have the wrong type already would only add noise.
  if (problems.empty()) complete_spec(spec, rules, problems);
  // Kept elsewhere: nodes and answers show all of a spec.
  spec.container.registry_authentication.reset();
  if (!problems.empty()) return problems.to_error();
  return spec;
}

GroupChange change_of(const GroupSpec& old, GroupSpec now) {
  GroupChange change;
  change.image_changed = old.container.image != now.container.image;
  change.replicas_changed = old.replicas != now.replicas;
  change.placement_changed =
      old.country_codes != now.country_codes || old.container.resources != now.container.resources;
  change.restart = change.image_changed || old.container.command != now.container.command ||
                   old.container.environment_variables != now.container.environment_variables ||
                   old.container.logging != now.container.logging || port_of(old) != port_of(now) ||
                   old.liveness_probe != now.liveness_probe ||
                   old.readiness_probe != now.readiness_probe ||
                   old.startup_probe != now.startup_probe;
  change.new_version = change.restart || change.placement_changed ||
                       old.container.priority != now.container.priority ||
                       old.container.image_caching != now.container.image_caching;
  change.spec = std::move(now);
  return change;
}

Result<GroupChange> patch_group_spec(const GroupSpec& old, const json::value& patch,
                                     const SpecRules& rules) {
  if (!patch.is_object()) return Error::invalid("the document must be an object");
  json::object change = patch.get_object();
  drop_nulls_that_change_nothing(change);
  json::value document = write_json(old);
  replace_probe_actions(document.get_object(), change);
  replace_log_sink(document.get_object(), change);
  TRY(GroupSpec now, read_group_spec(merge_patch(std::move(document), change), rules));
  JsonProblems problems;
  check_immutable(old, now, problems);
  if (!problems.empty()) return problems.to_error();

  return change_of(old, std::move(now));
}

json::object group_json(const GroupSpec& spec, const GroupFacts& facts) {
  json::object group = write_json(spec).get_object();
  group["id"] = facts.id;
  group["organization_name"] = facts.organization_name;
  group["project_name"] = facts.project_name;
  group["container"] = container_json(spec, facts);
  group["priority"] = enum_name(effective_priority(spec));
  if (json::object* networking = object_member(group, "networking")) {
    (*networking)["dns"] = facts.dns;
  }
  group["pending_change"] = facts.pending_change;
  group["version"] = facts.version;
  group["create_time"] = format_rfc3339(facts.create_time);
  group["update_time"] = format_rfc3339(facts.update_time);
  group["current_state"] = state_json(facts);
  return group;
}

bool is_strict_go_client(std::string_view user_agent) {
  return user_agent == "OpenAPI-Generator/1.0.0/go";
}

void drop_members_unknown_to_go(json::object& group) {
  group.erase("scaling-actions");
  group.erase("scheduled-scaling-enabled");
  group.erase("readme");
  if (json::object* container = object_member(group, "container")) {
    if (json::object* resources = object_member(*container, "resources")) {
      resources->erase("shm_size");
    }
  }
}

}  // namespace mesclun::api

namespace mesclun {
template void read_json(const json::value& value, api::GroupSpec& out, const JsonPath& path,
                        JsonProblems& problems);
template json::value write_json(const api::GroupSpec& in);
}  // namespace mesclun
