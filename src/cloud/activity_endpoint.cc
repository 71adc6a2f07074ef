#include "cloud/activity_endpoint.h"

#include "cloud/fleet_store.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

json::object event_json(const Event& event) {
  json::object out;
  out["sequence"] = event.sequence;
  out["time"] = format_rfc3339(from_unix_nanos(event.time));
  out["resource_type"] = event.resource_type;
  out["event_name"] = event.event_name;
  out["detail"] = event.detail;
  if (!event.instance_id.empty()) out["instance_id"] = event.instance_id;
  if (!event.machine_id.empty()) out["machine_id"] = event.machine_id;
  out["version"] = event.version;
  return out;
}

json::object line_json(const LogRow& row) {
  json::object out;
  out["sequence"] = row.sequence;
  out["time"] = format_rfc3339(from_unix_nanos(row.time));
  out["receive_time"] = format_rfc3339(from_unix_nanos(row.receive_time));
  out["stream"] = row.stream;
  out["text"] = row.text;
  out["instance_id"] = row.instance_id;
  out["machine_id"] = row.machine_id;
  out["version"] = row.version;
  return out;
}

// A page of something that grows: where to begin, how much, how long to wait for it.
struct Page {
  std::optional<int64_t> after;
  int64_t limit = 100;
  Duration wait{};
};

Result<Page> read_page(const HttpRequest& request) {
  Page page;
  if (request.query("after")) {
    TRY(page.after, query_number(request, "after", 0, 0, INT64_MAX));
  }
  TRY(page.limit, query_number(request, "limit", 100, 1, 1000));
  TRY(const int64_t seconds, query_number(request, "wait", 0, 0, 30));
  page.wait = std::chrono::seconds(seconds);
  return page;
}

}  // namespace

Answer ActivityEndpoint::handle(HttpRequest request, ApiTarget target) {
  const std::vector<std::string>& path = target.rest;
  if (!target.project || path.size() != 3 || path[0] != "containers") co_return no_such_path();
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  const std::string project_id = target.project->project_id;
  const std::string name = path[1];
  LogOwner owner{target.organization_id, target.project->project_name, name};
  CO_TRY(const std::string id,
         co_await loop_.ask<std::string>(
             [project_id, name](const Fleet& fleet, Moment) -> Result<std::string> {
               TRY(const Group* group, group_named(fleet, project_id, name));
               return group->id;
             }));
  if (path[2] == "events") co_return co_await events(std::move(request), id);
  if (path[2] == "logs") co_return co_await logs(std::move(request), id, std::move(owner));
  co_return no_such_path();
}

void ActivityEndpoint::events_added(const std::set<std::string>& group_ids) {
  for (const std::string& id : group_ids) events_added_.tell(id);
}

Answer ActivityEndpoint::events(HttpRequest request, std::string group_id) {
  CO_TRY(const Page page, read_page(request));
  const TimePoint end = clock_.now() + page.wait;
  const auto follower = events_added_.follow(group_id);
  while (true) {
    auto loaded = std::make_shared<std::vector<Event>>();
    store::Body body = [loaded, group_id, page](store::Transaction& tx) -> Result<> {
      TRY(*loaded, load_events(tx, group_id, page.after, page.limit));
      return {};
    };
    CO_TRY_DO(co_await database_.read(std::move(body)));
    if (loaded->empty() && clock_.now() < end) {
      CO_TRY_DO(co_await follower->wait_until(clock_, end));
      continue;
    }
    json::array items;
    for (const Event& event : *loaded) items.push_back(event_json(event));
    json::object out;
    out["items"] = std::move(items);
    co_return json_answer(200, std::move(out));
  }
}

Answer ActivityEndpoint::logs(HttpRequest request, std::string group_id, LogOwner owner) {
  CO_TRY(const Page page, read_page(request));
  LogLines lines{.group_id = std::move(group_id),
                 .instance_id = request.query("instance_id").value_or(""),
                 .after = page.after,
                 .limit = page.limit,
                 .owner = std::move(owner)};
  if (const auto query = request.query("query")) {
    CO_TRY(lines.query, LogQuery::parse(*query));
  }
  CO_TRY(const LogLinesPage found, co_await logs_.read(std::move(lines), page.wait));
  json::array items;
  for (const LogRow& row : found.rows) items.push_back(line_json(row));
  json::object out;
  if (found.looked_to) out["looked_to"] = *found.looked_to;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
