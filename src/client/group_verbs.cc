#include "client/group_verbs.h"

#include <fmt/format.h>

#include "api/gpu_class.h"
#include "base/suggest.h"
#include "client/group_wait.h"
#include "client/input.h"

namespace mesclun::client {

namespace {

constexpr Duration kRestartLook = 500ms;  // well below the calls that a key may make

std::string action_name(GroupAction action) {
  switch (action) {
    case GroupAction::Start:
      return "start";
    case GroupAction::Stop:
      return "stop";
    case GroupAction::Delete:
      return "delete";
  }
  return "";
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string resources_text(const ResourcesView& resources) {
  std::string text = fmt::format("{} vCPU, {} MB", resources.cpu, resources.memory);
  std::vector<std::string> classes;
  for (const std::string& id : resources.gpu_classes) {
    const auto known = api::find_gpu_class(api::known_gpu_classes(), id);
    classes.push_back(known ? (*known)->name : id);
  }
  if (!classes.empty()) text += ", " + join(classes, " or ");
  return text;
}

std::string status_text(const GroupView& group) {
  std::string text = group.current_state.status;
  if (group.pending_change) text += " (a change is being applied)";
  const std::string why = group.current_state.description.value_or("");
  return why.empty() ? text : text + ": " + why;
}

std::string counts_text(const GroupView& group) {
  const StatusCountsView& counts = group.current_state.instance_status_counts;
  std::string text = fmt::format("{} of {} running", counts.running_count, group.replicas);
  const std::pair<int64_t, const char*> others[] = {{counts.allocating_count, "allocating"},
                                                    {counts.creating_count, "creating"},
                                                    {counts.stopping_count, "stopping"}};
  for (const auto& [count, name] : others) {
    if (count > 0) text += fmt::format(", {} {}", count, name);
  }
  return text;
}

// For clients that do not know NAME.localhost: by path, as the gateway of `mesclun up` takes it.
std::string path_address(const GroupView& group, const Context& context) {
  constexpr std::string_view kZone = ".localhost";
  if (!group.networking || context.gateway.text.empty()) return "";
  const std::string& dns = group.networking->dns;
  if (!dns.ends_with(kZone)) return "";
  return fmt::format("http://{}/@{}/", context.gateway.text,
                     dns.substr(0, dns.size() - kZone.size()));
}

// By name; nobody's, where the cloud does not tell.
Task<std::map<std::string, GroupInsightView>> group_insights(Session& session) {
  std::map<std::string, GroupInsightView> out;
  const Result<Answer<GroupInsightListView>> list = co_await session.api.list_group_insights();
  if (!list) co_return out;
  for (const GroupInsightView& insight : list->value.items) out[insight.name] = insight;
  co_return out;
}

std::string ready_text(const GroupView& group, const GroupInsightView* insight) {
  return insight == nullptr ? "" : fmt::format("{}/{}", insight->ready, group.replicas);
}

std::string restarts_text(const GroupInsightView* insight) {
  return insight == nullptr ? "" : std::to_string(insight->restarts);
}

void print_group(Session& session, const json::value& document, const GroupView& group,
                 const GroupInsightView* insight = nullptr) {
  if (session.json()) return session.print(document);
  const WallTime now = session.clock.wall_now();
  std::string address = group_address(group, session.context);
  if (group.networking && group.networking->auth) address += "  (with your Salad-Api-Key)";
  session.console.print(render_fields({
      {"NAME", group.name},
      {"PROJECT", group.organization_name + "/" + group.project_name},
      {"STATUS", status_text(group)},
      {"REPLICAS", counts_text(group)},
      {"READY", ready_text(group, insight)},
      {"RESTARTS", restarts_text(insight)},
      {"ADDRESS", address},
      {"BY PATH", path_address(group, session.context)},
      {"IMAGE", group.container.image},
      {"COMMAND", join(group.container.command, " ")},
      {"RESOURCES", resources_text(group.container.resources)},
      {"PRIORITY", group.priority.value_or("")},
      {"COUNTRIES", join(group.country_codes, " ")},
      {"VERSION", std::to_string(group.version)},
      {"CREATED", short_time(group.create_time) + " (" + age(group.create_time, now) + " ago)"},
  }));
}

// The same for a document whose view nobody has read yet.
Result<> print_group(Session& session, const json::value& document) {
  GroupView group;
  JsonProblems problems;
  read_json(document, group, JsonPath{}, problems);
  if (!problems.empty()) return problems.to_error();
  print_group(session, document, group);
  return {};
}

// Says where in the document the API's complaint points.
Error place_mistakes(const Document& document, Error error) {
  if (error.code == ErrorCode::InvalidArgument && error.message.find('/') != std::string::npos) {
    error.message = locate_mistakes(document, error.message);
  }
  return error;
}

// Waits if asked to, then prints the group as it is.
Task<Result<>> wait_and_print(Session& session, Answer<GroupView> group, WaitOptions wait) {
  if (!wait.wait) {
    print_group(session, group.document, group.value);
    co_return Result<>();
  }
  const GroupGoal goal = goal_after_change(group.value);
  CO_TRY(const json::value document,
         co_await wait_for_group(session, group.value.name, goal, wait.timeout));
  co_return print_group(session, document);
}

// An instance has a new id with every run: so its end is seen, and then the group must serve again.
Task<Result<>> wait_for_restart(Session& session, std::string name, std::string instance_id,
                                TimePoint end) {
  while (session.clock.now() < end) {
    CO_TRY(const Answer<InstanceListView> list, co_await session.api.list_instances(name));
    const bool there = std::ranges::any_of(list.value.instances, [&](const InstanceView& instance) {
      return instance.id == instance_id && instance.state == "running";
    });
    if (!there) {
      const Duration left = std::max<Duration>(end - session.clock.now(), 1s);
      CO_TRY_DO(co_await wait_for_group(session, name, GroupGoal::Serving, left));
      co_return Result<>();
    }
    CO_TRY_DO(co_await session.clock.sleep_for(kRestartLook));
  }
  co_return Error::deadline(fmt::format(
      "instance {} was told to restart and has not; see what happens: mesclun events {} -f",
      instance_id, name));
}

}  // namespace

std::string group_address(const GroupView& group, const Context& context) {
  if (!group.networking || group.networking->dns.empty()) return "";
  const std::string& gateway = context.gateway.text;
  const size_t colon = gateway.rfind(':');
  const std::string port = colon == std::string::npos ? "" : gateway.substr(colon);
  return "http://" + group.networking->dns + (port == ":80" ? "" : port);
}

Task<Error> suggest_groups(Session& session, Error error, std::string name) {
  if (error.code != ErrorCode::NotFound) co_return error;
  const Result<Answer<GroupListView>> groups = co_await session.api.list_groups();
  if (!groups) {
    // Not even the list: the organization or the project is what is missing.
    error.message +=
        fmt::format("\nLooked in organization '{}' (from {}), project '{}' (from {}).",
                    session.context.organization.text, session.context.organization.source,
                    session.context.project.text, session.context.project.source);
    co_return error;
  }
  std::vector<std::string> names;
  for (const GroupView& group : groups->value.items) names.push_back(group.name);
  const std::string near = near_names(name, names);
  const std::string project =
      session.context.organization.text + "/" + session.context.project.text;
  if (std::ranges::find(names, name) != names.end()) {
    // The group is there: something inside it is not.
  } else if (!near.empty()) {
    error.message += fmt::format("\nNo group '{}' in {}. Did you mean {}?", name, project, near);
  } else {
    error.message +=
        fmt::format("\nNo group '{}' in {}, which has {}; see `mesclun group list`.", name, project,
                    names.empty()       ? "no groups"
                    : names.size() == 1 ? "one group"
                                        : fmt::format("{} groups", names.size()));
  }
  co_return error;
}

Task<Result<>> create_group(Session& session, GroupCreateOptions options) {
  CO_TRY(std::vector<Document> documents, read_documents(options.file, session.console.in));
  if (!options.name.empty() && documents.size() > 1) {
    co_return usage_error("--name is for a file with one group; this one has several documents");
  }
  for (Document& document : documents) {
    document.value = prototype_of(std::move(document.value));
    if (!options.name.empty()) document.value.get_object()["name"] = options.name;
    for (const std::string& line : unknown_group_members(document)) {
      session.console.note("warning: " + line);
    }
  }
  // Waited for together: the second need not wait for the first to serve.
  std::vector<Answer<GroupView>> groups;
  std::optional<Error> mistake;
  for (const Document& document : documents) {
    Result<Answer<GroupView>> group = co_await session.api.create_group(document.value);
    if (group) {
      groups.push_back(*std::move(group));
      continue;
    }
    mistake = place_mistakes(document, group.error());
    if (documents.size() > 1) {
      mistake->message += fmt::format("\nThe document at {} and those after it were not created.",
                                      locate(document, ""));
    }
    break;
  }
  for (Answer<GroupView>& group : groups) {
    CO_TRY_DO(co_await wait_and_print(session, std::move(group), options.wait));
  }
  if (mistake) co_return *std::move(mistake);
  co_return Result<>();
}

Task<Result<>> create_group(Session& session, json::value prototype, WaitOptions wait) {
  CO_TRY(Answer<GroupView> group, co_await session.api.create_group(std::move(prototype)));
  co_return co_await wait_and_print(session, std::move(group), wait);
}

json::value prototype_of(json::value document) {
  json::object* group = document.if_object();
  if (group == nullptr || !group->contains("id") || !group->contains("current_state")) {
    return document;
  }
  for (const char* read_only : {"id", "organization_name", "project_name", "version", "create_time",
                                "update_time", "current_state", "pending_change", "readme"}) {
    group->erase(read_only);
  }
  if (json::value* networking = group->if_contains("networking");
      networking != nullptr && networking->is_object()) {
    networking->get_object().erase("dns");
  }
  json::value* container = group->if_contains("container");
  if (container == nullptr || !container->is_object()) return document;
  container->get_object().erase("hash");
  container->get_object().erase("size");
  // It goes in under the container and comes out beside it (api.md §12, fact 6).
  if (json::value* priority = group->if_contains("priority")) {
    json::value moved = std::move(*priority);
    group->erase("priority");
    group->at("container").get_object()["priority"] = std::move(moved);
  }
  return document;
}

Task<Result<>> list_groups(Session& session) {
  CO_TRY(const Answer<GroupListView> groups, co_await session.api.list_groups());
  if (session.json()) {
    session.print(groups.document);
    co_return Result<>();
  }
  if (groups.value.items.empty()) {
    session.console.note(
        fmt::format("No container groups in {}/{}. Create one: mesclun group create -f FILE",
                    session.context.organization.text, session.context.project.text));
    co_return Result<>();
  }
  const WallTime now = session.clock.wall_now();
  const auto insights = co_await group_insights(session);
  Table table(
      {"NAME", "STATUS", "RUNNING", "READY", "RESTARTS", "VERSION", "AGE", "IMAGE", "ADDRESS"});
  for (const GroupView& group : groups.value.items) {
    const auto found = insights.find(group.name);
    const GroupInsightView* insight = found == insights.end() ? nullptr : &found->second;
    table.add({group.name, group.current_state.status + (group.pending_change ? "*" : ""),
               fmt::format("{}/{}", group.current_state.instance_status_counts.running_count,
                           group.replicas),
               ready_text(group, insight), restarts_text(insight), std::to_string(group.version),
               age(group.create_time, now), group.container.image,
               group_address(group, session.context)});
  }
  session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> get_group(Session& session, std::string name) {
  const Result<Answer<GroupView>> group = co_await session.api.get_group(name);
  if (!group) co_return co_await suggest_groups(session, group.error(), name);
  if (session.json()) {
    session.print(group->document);
    co_return Result<>();
  }
  const auto insights = co_await group_insights(session);
  const auto found = insights.find(group->value.name);
  print_group(session, group->document, group->value,
              found == insights.end() ? nullptr : &found->second);
  co_return Result<>();
}

Result<json::value> build_patch(const json::value& from_file, const GroupUpdateOptions& options) {
  json::object patch;
  if (from_file.is_object()) patch = from_file.get_object();
  for (const std::string& set : options.sets) {
    if (auto applied = apply_set(patch, set); !applied) {
      return usage_error(applied.error().message);
    }
  }
  if (options.replicas) patch["replicas"] = *options.replicas;
  if (patch.empty()) {
    return usage_error("nothing to change: give --replicas N, --set PATH=VALUE or -f FILE");
  }
  return json::value(std::move(patch));
}

Task<Result<>> update_group(Session& session, GroupUpdateOptions options) {
  if (!options.at_once.empty()) {
    json::value at_once =
        options.at_once == "default" ? json::value() : json::value(options.at_once);
    const auto policy = co_await session.api.set_update_policy(options.name, std::move(at_once));
    if (!policy) co_return co_await suggest_groups(session, policy.error(), options.name);
    const UpdatePolicyView& view = policy->value;
    const bool nothing_else = options.file.empty() && options.sets.empty() && !options.replicas;
    if (nothing_else && session.json()) session.print(policy->document);
    if (!session.json()) {
      session.console.note(fmt::format("{}: {} of its instances at once go over to a new version",
                                       options.name, view.at_once.value_or(view.default_at_once)));
    }
    if (nothing_else) co_return Result<>();
  }
  Document document{.name = "the change"};
  if (!options.file.empty()) {
    CO_TRY(document, read_document(options.file, session.console.in));
    for (const std::string& line : unknown_group_members(document)) {
      session.console.note("warning: " + line);
    }
  }
  CO_TRY(json::value patch, build_patch(document.value, options));
  Result<Answer<GroupView>> group =
      co_await session.api.update_group(options.name, std::move(patch));
  if (!group) {
    Error error = place_mistakes(document, group.error());
    co_return co_await suggest_groups(session, std::move(error), options.name);
  }
  co_return co_await wait_and_print(session, *std::move(group), options.wait);
}

Task<Result<>> group_history(Session& session, std::string name) {
  const Result<Answer<VersionListView>> list = co_await session.api.list_versions(name);
  if (!list) co_return co_await suggest_groups(session, list.error(), name);
  if (session.json()) {
    session.print(list->document);
    co_return Result<>();
  }
  Table table({"VERSION", "SINCE", "CHANGED"});
  for (const VersionView& version : list->value.items) {
    table.add({fmt::format("{}{}", version.version, version.current ? "*" : ""),
               short_time(version.begin_time.value_or("")), version.changes.value_or("")});
  }
  session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> roll_back_group(Session& session, std::string name, std::optional<int64_t> version,
                               WaitOptions wait) {
  const Result<Answer<RollbackView>> done = co_await session.api.roll_back(name, version);
  if (!done) co_return co_await suggest_groups(session, done.error(), name);
  session.console.note(fmt::format("{}: version {}, as version {} was", name, done->value.version,
                                   done->value.as_version));
  CO_TRY(Answer<GroupView> group, co_await session.api.get_group(name));
  co_return co_await wait_and_print(session, std::move(group), wait);
}

Task<Result<>> act_on_group(Session& session, std::string name, GroupAction action,
                            WaitOptions wait) {
  const std::string verb = action_name(action);
  const Result<> accepted = action == GroupAction::Delete
                                ? co_await session.api.delete_group(name)
                                : co_await session.api.act_on_group(name, verb);
  if (!accepted) co_return co_await suggest_groups(session, accepted.error(), name);
  if (wait.wait) {
    const GroupGoal goal = action == GroupAction::Start  ? GroupGoal::Serving
                           : action == GroupAction::Stop ? GroupGoal::Stopped
                                                         : GroupGoal::Gone;
    CO_TRY_DO(co_await wait_for_group(session, name, goal, wait.timeout));
  }
  if (session.json()) {
    session.print(json::object{{"accepted", verb}, {"container_group", name}});
  } else if (!wait.wait) {
    session.console.print(fmt::format("{}: {} accepted\n", name, verb));
  }
  co_return Result<>();
}

Task<Result<>> restart_group(Session& session, std::string name, bool at_once, Duration timeout) {
  const Result<Answer<InstanceListView>> list = co_await session.api.list_instances(name);
  if (!list) co_return co_await suggest_groups(session, list.error(), name);
  const TimePoint end = session.clock.now() + timeout;
  size_t count = 0;
  for (const InstanceView& instance : list->value.instances) {
    if (instance.state != "running") continue;
    const Result<> asked = co_await session.api.act_on_instance(name, instance.id, "restart");
    // It may have ended meanwhile, and then starts anew in any case.
    if (!asked && asked.code() != ErrorCode::NotFound) co_return asked;
    ++count;
    if (!at_once) CO_TRY_DO(co_await wait_for_restart(session, name, instance.id, end));
  }
  if (session.json()) {
    session.print(
        json::object{{"accepted", "restart"}, {"container_group", name}, {"instances", count}});
  } else {
    session.console.print(fmt::format("{}: {} restarted\n", name, count));
  }
  co_return Result<>();
}

Task<Result<>> group_exclusions(Session& session, std::string name, bool clear,
                                std::string machine) {
  if (clear) {
    const Result<> lifted = co_await session.api.lift_exclusions(name, machine);
    if (!lifted) co_return co_await suggest_groups(session, lifted.error(), name);
  }
  const Result<Answer<ExclusionListView>> list = co_await session.api.list_exclusions(name);
  if (!list) co_return co_await suggest_groups(session, list.error(), name);
  if (session.json()) {
    session.print(list->document);
    co_return Result<>();
  }
  if (list->value.items.empty()) {
    session.console.note(fmt::format("'{}' is kept away from no machine.", name));
    co_return Result<>();
  }
  Table table({"HOST", "MACHINE", "UNTIL", "REASON"});
  for (const ExclusionView& exclusion : list->value.items) {
    table.add({exclusion.hostname.value_or(""), exclusion.machine_id, short_time(exclusion.until),
               exclusion.reason.value_or("")});
  }
  session.console.print(table.render());
  co_return Result<>();
}

}  // namespace mesclun::client
