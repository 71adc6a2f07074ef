#include "client/group_wait.h"

#include <fmt/format.h>

#include "base/units.h"

namespace mesclun::client {

namespace {

constexpr Duration kFirstPause = 250ms;
// At most 30 looks a minute of three calls each, three eighths of the 240 that a key may make.
constexpr Duration kLongestPause = 2s;

using State = GroupProgress::State;

int64_t count_ready(const GroupView& group, const std::vector<InstanceView>& instances) {
  return std::ranges::count_if(instances, [&](const InstanceView& instance) {
    return instance.state == "running" && instance.version == group.version &&
           instance.ready.value_or(true);
  });
}

int64_t count_all(const StatusCountsView& counts) {
  return counts.allocating_count + counts.creating_count + counts.running_count +
         counts.stopping_count;
}

std::string describe(const GroupView& group, int64_t ready) {
  const StatusCountsView& counts = group.current_state.instance_status_counts;
  std::string text = fmt::format("{}: {} of {} running, {} ready", group.current_state.status,
                                 counts.running_count, group.replicas, ready);
  if (group.pending_change) text += ", a change is being applied";
  if (counts.stopping_count > 0) text += fmt::format(", {} stopping", counts.stopping_count);
  // The cloud's own reason why a replica has no node.
  const std::string why = group.current_state.description.value_or("");
  return why.empty() ? text : text + ". " + why;
}

// The newest event; empty if there is none, or nobody tells: it is an extra.
Task<std::string> newest_event(Session& session, std::string name) {
  const auto page = co_await session.api.list_happenings(name, "events", {.limit = 1});
  EventListView events;
  JsonProblems problems;
  if (page) read_json(*page, events, JsonPath{}, problems);
  if (!problems.empty() || events.items.empty()) co_return "";
  const EventView& event = events.items.back();
  const std::string detail = event.detail.value_or("");
  co_return event.event_name + (detail.empty() ? "" : ": " + detail);
}

struct Look {
  json::value document;
  GroupProgress progress;
  std::optional<PlacementView> placement;  // of what waits for a node
};

Task<Result<Look>> look(Session& session, std::string name, GroupGoal goal) {
  Result<Answer<GroupView>> group = co_await session.api.get_group(name);
  if (!group && group.code() == ErrorCode::NotFound && goal == GroupGoal::Gone) {
    co_return Look{nullptr, {State::Reached, "deleted"}, std::nullopt};
  }
  if (!group) co_return group.error();
  std::vector<InstanceView> instances;
  const int64_t running = group->value.current_state.instance_status_counts.running_count;
  if (goal == GroupGoal::Serving && running > 0) {
    CO_TRY(Answer<InstanceListView> list, co_await session.api.list_instances(name));
    instances = std::move(list.value.instances);
  }
  Look result;
  const int64_t waiting = group->value.current_state.instance_status_counts.allocating_count;
  if (goal == GroupGoal::Serving && waiting > 0) {
    // Clouds of before do not tell.
    const auto placement = co_await session.api.get_placement(name);
    if (placement) result.placement = placement->value;
  }
  result.progress = judge_group(group->value, instances, goal);
  result.document = std::move(group->document);
  co_return result;
}

Error failed(const std::string& name, const std::string& text) {
  return {ErrorCode::FailedPrecondition,
          fmt::format("group '{}' {}\nSee what happened: mesclun events {}; mesclun logs {}", name,
                      text, name, name)};
}

Error hopeless(const std::string& name, const PlacementView& placement) {
  return {ErrorCode::FailedPrecondition,
          fmt::format("group '{}' has {} without a node, and waiting changes nothing: {}\nSee the "
                      "machines: mesclun node list; change the group: mesclun group update {}",
                      name,
                      placement.waiting == 1 ? "one replica"
                                             : fmt::format("{} replicas", placement.waiting),
                      placement.reason, name)};
}

Error too_late(const std::string& name, const std::string& text, Duration limit) {
  return Error::deadline(fmt::format(
      "group '{}' is not there after {} ({}); it goes on without this command.\nSee what happens: "
      "mesclun events {} -f; mesclun instance list {}",
      name, format_duration(limit), text, name, name));
}

}  // namespace

bool HopeWatch::gives_up(const PlacementView* placement, TimePoint now) {
  const bool is_hopeless = placement != nullptr && placement->waiting > 0 && !placement->may_change;
  if (!is_hopeless) {
    hopeless_since_.reset();
    return false;
  }
  if (!hopeless_since_) hopeless_since_ = now;
  return now - *hopeless_since_ >= kHopelessSettle;
}

GroupProgress judge_group(const GroupView& group, const std::vector<InstanceView>& instances,
                          GroupGoal goal) {
  const std::string& status = group.current_state.status;
  const StatusCountsView& counts = group.current_state.instance_status_counts;
  const int64_t ready = count_ready(group, instances);
  GroupProgress progress{.text = describe(group, ready)};
  const bool wants_work = goal == GroupGoal::Prepared || goal == GroupGoal::Serving;
  if (wants_work && status == "failed") {
    const std::string& why = group.current_state.description.value_or("");
    return {State::Failed, why.empty() ? "failed" : "failed: " + why};
  }
  bool reached = false;
  switch (goal) {
    case GroupGoal::Prepared:
      reached = status != "pending" && !group.pending_change;
      break;
    case GroupGoal::Serving:
      if (status == "stopped") return {State::Failed, "was stopped"};
      reached = status == "succeeded" ||
                ((status == "running" || (status == "deploying" && group.replicas == 0)) &&
                 !group.pending_change && counts.running_count >= group.replicas &&
                 ready >= group.replicas);
      break;
    case GroupGoal::Stopped:
      reached = status != "running" && status != "deploying" && count_all(counts) == 0;
      break;
    case GroupGoal::Gone:
      break;  // only a 404 says so
  }
  if (reached) progress.state = State::Reached;
  return progress;
}

GroupGoal goal_after_change(const GroupView& group) {
  const std::string& status = group.current_state.status;
  if (status == "running" || status == "deploying") return GroupGoal::Serving;
  // While the image is prepared, only the policy says what comes after it.
  if (status == "pending" && group.autostart_policy) return GroupGoal::Serving;
  return GroupGoal::Prepared;
}

Task<Result<json::value>> wait_for_group(Session& session, std::string name, GroupGoal goal,
                                         Duration limit) {
  const TimePoint start = session.clock.now();
  const TimePoint end = start + limit;
  Progress progress(session.console);
  Duration pause = kFirstPause;
  std::string last = "no answer yet";
  HopeWatch hope;
  std::string told;  // where there is no terminal: each change is a line
  while (true) {
    Result<Look> seen = co_await look(session, name, goal);
    const auto waited =
        std::chrono::floor<std::chrono::seconds>(session.clock.now() - start).count();
    if (seen) {
      last = seen->progress.text;
      if (seen->progress.state == State::Failed) co_return failed(name, last);
      const PlacementView* placement = seen->placement ? &*seen->placement : nullptr;
      if (hope.gives_up(placement, session.clock.now())) co_return hopeless(name, *placement);
      if (seen->progress.state == State::Reached) {
        progress.done(fmt::format("{}: {} (after {} s)", name, last, waited));
        co_return std::move(seen->document);
      }
    } else if (passes_by_itself(seen.error())) {
      last = seen.error().message;
    } else {
      co_return seen.error();
    }
    if (const std::string event = co_await newest_event(session, name); !event.empty()) {
      last += fmt::format("{} Last: {}", last.ends_with('.') ? "" : ".", event);
    }
    if (session.clock.now() + pause >= end) co_return too_late(name, last, limit);
    if (!session.console.err_is_terminal && last != told) {
      session.console.note(fmt::format("{}: {}", name, last));
      told = last;
    }
    progress.update(fmt::format("{}: {} ({} s)", name, last, waited));
    CO_TRY_DO(co_await session.clock.sleep_for(pause));
    pause = std::min<Duration>(pause * 3 / 2, kLongestPause);
  }
}

}  // namespace mesclun::client
