#include "client/operator_verbs.h"

#include <fmt/format.h>

#include <algorithm>

namespace mesclun::client {

namespace {

void print_organization(Session& session, const Answer<NamedView>& answer) {
  if (session.json()) return session.print(answer.document);
  session.console.print(render_fields({{"NAME", answer.value.name},
                                       {"DISPLAY NAME", answer.value.display_name.value_or("")},
                                       {"ID", answer.value.id},
                                       {"CREATED", short_time(answer.value.create_time)}}));
}

void print_named(Session& session, const Answer<NamedListView>& answer, const std::string& none) {
  if (session.json()) return session.print(answer.document);
  if (answer.value.items.empty()) return session.console.note(none);
  const WallTime now = session.clock.wall_now();
  Table table({"NAME", "ID", "AGE"});
  for (const NamedView& item : answer.value.items) {
    table.add({item.name, item.id, age(item.create_time, now)});
  }
  session.console.print(table.render());
}

std::string per_minute(std::optional<int64_t> value) {
  return value ? fmt::format("{} a minute", *value) : "";
}

void print_quotas(Session& session, const Answer<QuotasView>& answer) {
  if (session.json()) return session.print(answer.document);
  const QuotasView& quotas = answer.value;
  session.console.print(render_fields({
      {"REPLICAS", fmt::format("{} used of {}", quotas.container_replicas_used,
                               quotas.container_replicas_quota)},
      {"REALLOCATIONS", per_minute(quotas.max_container_group_reallocations_per_minute)},
      {"RECREATES", per_minute(quotas.max_container_group_recreates_per_minute)},
      {"RESTARTS", per_minute(quotas.max_container_group_restarts_per_minute)},
  }));
}

json::object quota_patch(const QuotaChange& change) {
  json::object patch;
  const std::pair<const char*, const std::optional<int64_t>&> members[] = {
      {"container_replicas_quota", change.replicas},
      {"max_container_group_reallocations_per_minute", change.reallocations},
      {"max_container_group_recreates_per_minute", change.recreates},
      {"max_container_group_restarts_per_minute", change.restarts}};
  for (const auto& [name, value] : members) {
    if (value) patch[name] = *value;
  }
  return patch;
}

std::string gpu_text(const NodeView& node) {
  std::map<std::string, int> counts;
  for (const NodeGpuView& gpu : node.gpus) {
    ++counts[gpu.name.value_or("GPU") + (gpu.pretended.value_or(false) ? " (pretended)" : "")];
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += (text.empty() ? "" : ", ") + (count > 1 ? fmt::format("{}x ", count) : "") + name;
  }
  return text;
}

void print_nodes(Session& session, const std::vector<NodeView>& nodes) {
  const WallTime now = session.clock.wall_now();
  Table table({"HOST", "MACHINE", "STATE", "COUNTRY", "CPU", "MEMORY MB", "GPU", "HEARD", "RUNS"});
  for (const NodeView& node : nodes) {
    const std::string mode = node.mode == "active" ? "" : ", " + node.mode;
    table.add({node.hostname, node.machine_id, node.state + mode, node.country.value_or(""),
               fmt::format("{:g}/{:g}", node.cpu_used, node.cpu),
               fmt::format("{}/{}", node.memory_used_mb, node.memory_mb), gpu_text(node),
               age(node.last_heard_time.value_or(""), now), describe_node_load(node)});
  }
  session.console.print(table.render());
  for (const std::string& warning : node_warnings(nodes)) {
    session.console.note("warning: " + printable(warning));
  }
}

}  // namespace

std::string describe_node_load(const NodeView& node) {
  // Running instances are the rule and only counted; others say what they do.
  std::map<std::string, int> counts;
  for (const NodeInstanceView& instance : node.instances) {
    const bool runs = instance.state == "running" && instance.ready.value_or(true);
    const std::string what = instance.state == "running" ? "not ready" : instance.state;
    ++counts[instance.container_group_name + (runs ? "" : " (" + what + ")")];
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += (text.empty() ? "" : ", ") + name + (count > 1 ? fmt::format(" x{}", count) : "");
  }
  return text;
}

std::vector<std::string> node_warnings(const std::vector<NodeView>& nodes) {
  struct Told {
    std::string_view sentence;
    std::vector<const NodeView*> by;
  };
  std::vector<Told> all;
  for (const NodeView& node : nodes) {
    for (const std::string& sentence : node.warnings) {
      auto told = std::ranges::find(all, sentence, &Told::sentence);
      if (told == all.end()) told = all.insert(told, Told{.sentence = sentence, .by = {}});
      if (told->by.empty() || told->by.back() != &node) told->by.push_back(&node);
    }
  }
  std::vector<std::string> lines;
  for (const Told& told : all) {
    const size_t count = told.by.size();
    const std::string who = count == 1              ? told.by.front()->hostname
                            : count == nodes.size() ? fmt::format("all {} nodes", count)
                                                    : fmt::format("{} nodes", count);
    lines.push_back(fmt::format("{}: {}", who, told.sentence));
  }
  return lines;
}

Task<Result<>> list_nodes(Session& session) {
  CO_TRY(const Answer<NodeListView> nodes, co_await session.api.list_nodes());
  if (session.json()) {
    session.print(nodes.document);
  } else if (nodes.value.items.empty()) {
    session.console.note("No machines. Add this one: mesclun agent --help");
  } else {
    print_nodes(session, nodes.value.items);
  }
  co_return Result<>();
}

Task<Result<>> list_gpu_classes(Session& session) {
  CO_TRY(const Answer<GpuClassListView> list, co_await session.api.list_gpu_classes());
  if (session.json()) {
    session.print(list.document);
    co_return Result<>();
  }
  Table table({"NAME", "ID", "HIGH", "MEDIUM", "LOW", "BATCH"});
  for (const GpuClassView& gpu : list.value.items) {
    std::vector<std::string> row{gpu.name, gpu.id};
    for (const GpuPriceView& price : gpu.prices) row.push_back(price.price);
    row.resize(6);
    table.add(std::move(row));
  }
  session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> add_gpu_class(Session& session, std::string name, std::string price) {
  json::value body = json::object{{"name", name}, {"price", price}};
  CO_TRY(const Answer<GpuClassView> made, co_await session.api.add_gpu_class(std::move(body)));
  if (session.json()) {
    session.print(made.document);
  } else {
    session.console.print(render_fields({{"NAME", made.value.name}, {"ID", made.value.id}}));
  }
  co_return Result<>();
}

Task<Result<>> remove_gpu_class(Session& session, std::string name) {
  CO_TRY_DO(co_await session.api.remove_gpu_class(name));
  if (session.json()) {
    session.print(json::object{{"accepted", "remove"}, {"gpu_class", name}});
  } else {
    session.console.print(name + ": removed\n");
  }
  co_return Result<>();
}

Task<Result<>> create_organization(Session& session, std::string name, std::string display_name) {
  json::object body{{"name", name}};
  if (!display_name.empty()) body["display_name"] = display_name;
  CO_TRY(const Answer<NamedView> created,
         co_await session.api.create_organization(std::move(body)));
  print_organization(session, created);
  co_return Result<>();
}

Task<Result<>> list_organizations(Session& session) {
  CO_TRY(const Answer<NamedListView> list, co_await session.api.list_organizations());
  print_named(session, list, "No organizations. Create one: mesclun org create NAME");
  co_return Result<>();
}

Task<Result<>> get_organization(Session& session, std::string name) {
  CO_TRY(const Answer<NamedView> found, co_await session.api.get_organization(name));
  print_organization(session, found);
  co_return Result<>();
}

Task<Result<>> organization_quota(Session& session, std::string name, QuotaChange change) {
  json::object patch = quota_patch(change);
  if (patch.empty()) {
    CO_TRY(const Answer<QuotasView> quotas, co_await session.api.get_quotas(name));
    print_quotas(session, quotas);
  } else {
    CO_TRY(const Answer<QuotasView> quotas,
           co_await session.api.update_quotas(name, std::move(patch)));
    print_quotas(session, quotas);
  }
  co_return Result<>();
}

Task<Result<>> create_project(Session& session, std::string name) {
  CO_TRY(const Answer<NamedView> created, co_await session.api.create_project(name));
  print_organization(session, created);
  co_return Result<>();
}

Task<Result<>> list_projects(Session& session) {
  CO_TRY(const Answer<NamedListView> list, co_await session.api.list_projects());
  print_named(session, list, "No projects. Create one: mesclun project create NAME");
  co_return Result<>();
}

Task<Result<>> create_key(Session& session, std::string user,
                          std::vector<std::string> organizations) {
  json::array names(organizations.begin(), organizations.end());
  json::value body = json::object{{"user", user}, {"organizations", std::move(names)}};
  CO_TRY(const Answer<KeyView> created, co_await session.api.create_key(std::move(body)));
  if (session.json()) {
    session.print(created.document);
    co_return Result<>();
  }
  const KeyView& key = created.value;
  session.console.print(
      render_fields({{"ID", key.id},
                     {"USER", key.user},
                     {"ORGANIZATIONS", fmt::format("{}", fmt::join(key.organizations, " "))},
                     {"KEY", key.key.value_or("")}}));
  session.console.note("The key is shown only now: keep it.");
  co_return Result<>();
}

Task<Result<>> list_keys(Session& session) {
  CO_TRY(const Answer<KeyListView> list, co_await session.api.list_keys());
  if (session.json()) {
    session.print(list.document);
    co_return Result<>();
  }
  if (list.value.items.empty()) session.console.note("No keys.");
  const WallTime now = session.clock.wall_now();
  Table table({"ID", "USER", "ORGANIZATIONS", "AGE"});
  for (const KeyView& key : list.value.items) {
    table.add({key.id, key.user, fmt::format("{}", fmt::join(key.organizations, " ")),
               age(key.create_time, now)});
  }
  if (!table.empty()) session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> delete_key(Session& session, std::string id) {
  CO_TRY_DO(co_await session.api.delete_key(id));
  if (session.json()) {
    session.print(json::object{{"accepted", "delete"}, {"key_id", id}});
  } else {
    session.console.print(id + ": deleted\n");
  }
  co_return Result<>();
}

}  // namespace mesclun::client
