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

}  // namespace

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
