#include "client/instance_verbs.h"

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "client/group_verbs.h"

namespace mesclun::client {

namespace {

std::string state_text(const InstanceView& instance) {
  if (instance.state == "downloading" && instance.pulling_progress) {
    return fmt::format("{} {:.0f}%", instance.state, *instance.pulling_progress);
  }
  return instance.state;
}

std::string yes_no(std::optional<bool> value) {
  return !value ? "" : *value ? "yes" : "no";
}

void print_instance(Session& session, const json::value& document, const InstanceView& instance) {
  if (session.json()) return session.print(document);
  const auto number = [](std::optional<double> value, const char* unit) {
    return value ? fmt::format("{:.1f} {}", *value, unit) : "";
  };
  session.console.print(render_fields({
      {"INSTANCE", instance.id},
      {"MACHINE", instance.machine_id},
      {"STATE", state_text(instance)},
      {"STARTED", yes_no(instance.started)},
      {"READY", yes_no(instance.ready)},
      {"VERSION", std::to_string(instance.version)},
      {"DELETION COST", std::to_string(instance.deletion_cost.value_or(0))},
      {"CPU", number(instance.cpu_percent, "%")},
      {"MEMORY", number(instance.memory_usage_mb, "MB")},
      {"UPDATED", short_time(instance.update_time)},
  }));
}

}  // namespace

Result<std::string> choose_instance(const std::vector<InstanceView>& instances,
                                    const std::string& group, const std::string& id) {
  const std::string wanted = lower_case(id);
  for (const auto member : {&InstanceView::id, &InstanceView::machine_id}) {
    std::vector<std::string> found;
    for (const InstanceView& instance : instances) {
      if ((instance.*member).starts_with(wanted)) found.push_back(instance.id);
    }
    if (found.size() == 1) return found[0];
    if (found.size() > 1) {
      return Error::invalid(
          fmt::format("'{}' is the beginning of {} instances of '{}': give more "
                      "of it",
                      id, found.size(), group));
    }
  }
  return Error::not_found(
      fmt::format("no instance of '{}' has an id that begins with '{}'\nSee the instances: mesclun "
                  "instance list {}",
                  group, id, group));
}

Task<Result<std::string>> find_instance(Session& session, std::string group, std::string id) {
  if (is_uuid(id)) co_return id;
  if (id.empty()) co_return usage_error("the instance id is empty");
  const Result<Answer<InstanceListView>> list = co_await session.api.list_instances(group);
  if (!list) co_return co_await suggest_groups(session, list.error(), group);
  co_return choose_instance(list->value.instances, group, id);
}

Task<Result<>> list_instances(Session& session, std::string group) {
  const Result<Answer<InstanceListView>> list = co_await session.api.list_instances(group);
  if (!list) co_return co_await suggest_groups(session, list.error(), group);
  if (session.json()) {
    session.print(list->document);
    co_return Result<>();
  }
  if (list->value.instances.empty()) {
    session.console.note(fmt::format("'{}' has no instances.", group));
    co_return Result<>();
  }
  const WallTime now = session.clock.wall_now();
  std::map<std::string, InstanceInsightView> insights;
  if (const auto told = co_await session.api.list_instance_insights(group)) {
    for (const InstanceInsightView& insight : told->value.items) {
      insights[insight.machine_id] = insight;
    }
  }
  Table table({"INSTANCE", "HOST", "MACHINE", "STATE", "READY", "VERSION", "COST", "SINCE"});
  for (const InstanceView& instance : list->value.instances) {
    const bool placed = instance.machine_id != kNilUuid;
    const InstanceInsightView& insight = insights[instance.machine_id];
    const std::string host = insight.hostname + (insight.silent ? " (silent)" : "");
    table.add({instance.id, placed ? host : "-", placed ? instance.machine_id : "-",
               state_text(instance), yes_no(instance.ready), std::to_string(instance.version),
               std::to_string(instance.deletion_cost.value_or(0)), age(instance.update_time, now)});
  }
  session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> get_instance(Session& session, InstanceName name) {
  CO_TRY(const std::string id, co_await find_instance(session, name.group, name.id));
  const Result<Answer<InstanceView>> instance = co_await session.api.get_instance(name.group, id);
  if (!instance) co_return co_await suggest_groups(session, instance.error(), name.group);
  print_instance(session, instance->document, instance->value);
  co_return Result<>();
}

Task<Result<>> act_on_instance(Session& session, InstanceName name, std::string action) {
  CO_TRY(const std::string id, co_await find_instance(session, name.group, name.id));
  const Result<> accepted = co_await session.api.act_on_instance(name.group, id, action);
  if (!accepted) co_return co_await suggest_groups(session, accepted.error(), name.group);
  if (session.json()) {
    session.print(
        json::object{{"accepted", action}, {"container_group", name.group}, {"instance_id", id}});
  } else {
    session.console.print(fmt::format("{} {}: {} accepted\n", name.group, id, action));
  }
  co_return Result<>();
}

Task<Result<>> set_deletion_cost(Session& session, InstanceName name, int64_t cost) {
  CO_TRY(const std::string id, co_await find_instance(session, name.group, name.id));
  json::value patch = json::object{{"deletion_cost", cost}};
  const Result<Answer<InstanceView>> instance =
      co_await session.api.update_instance(name.group, id, std::move(patch));
  if (!instance) co_return co_await suggest_groups(session, instance.error(), name.group);
  print_instance(session, instance->document, instance->value);
  co_return Result<>();
}

}  // namespace mesclun::client
