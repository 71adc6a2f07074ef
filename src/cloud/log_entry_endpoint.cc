#include "cloud/log_entry_endpoint.h"

#include <fmt/format.h>

namespace mesclun::cloud {

namespace {

constexpr size_t kSearchesMax = 4;  // of an organization, at once
// A client's clock may be ahead of ours by so much, and a call may be so long on its way.
constexpr Duration kClockSlack = 1min;

enum class SortOrder { Desc, Asc };

struct LogEntryQuery {
  std::string start_time;
  std::string end_time;
  std::string query;
  std::optional<SortOrder> sort_order;
  std::optional<int32_t> page_size;
};
BOOST_DESCRIBE_STRUCT(LogEntryQuery, (), (start_time, end_time, query, sort_order, page_size))

}  // namespace

}  // namespace mesclun::cloud

template <>
struct mesclun::JsonEnum<mesclun::cloud::SortOrder> {
  using enum mesclun::cloud::SortOrder;
  static constexpr std::pair<mesclun::cloud::SortOrder, std::string_view> kNames[] = {
      {Desc, "desc"}, {Asc, "asc"}};
};

namespace mesclun::cloud {

namespace {

Result<int64_t> read_time(std::string_view name, std::string_view text) {
  const auto time = parse_rfc3339(text);
  if (!time) {
    return Error::invalid(fmt::format("/{} must be a time such as 2026-01-31T23:59:59Z", name));
  }
  return to_unix_nanos(*time);
}

std::string time_text(int64_t time) {
  return format_rfc3339(from_unix_nanos(time));
}

// A page that holds nothing, of a range that was not looked through: no answer that the contract
// has would say so.
Error gave_up(const LogPage& page, bool descending) {
  return Error::invalid(fmt::format(
      "the query looked at {} entries {} {} and found none; ask for a shorter time, or go on with "
      "{} {}",
      page.looked_at, descending ? "back to" : "up to",
      time_text(descending ? page.min_time : page.max_time), descending ? "end_time" : "start_time",
      time_text(descending ? page.min_time : page.max_time)));
}

}  // namespace

Answer LogEntryEndpoint::handle(HttpRequest request, ApiTarget target) {
  if (request.head.method != "POST") co_return method_not_allowed("POST");
  const std::string id = target.organization_id;
  const std::string name = accounts_.organization(id)->name;
  CO_TRY(LogSearch search, read_search(request, id));
  if (searching_[id] >= kSearchesMax) {
    co_return Error{ErrorCode::ResourceExhausted,
                    "too many queries of this organization's log are under way"};
  }
  ++searching_[id];
  auto answer = co_await this->search(std::move(search), name);
  if (--searching_[id] == 0) searching_.erase(id);
  co_return answer;
}

Result<LogSearch> LogEntryEndpoint::read_search(const HttpRequest& request,
                                                std::string organization_id) const {
  TRY(const json::value document, read_document(request));
  LogEntryQuery asked;
  JsonProblems problems;
  read_json(document, asked, JsonPath{}, problems);
  if (!problems.empty()) return problems.to_error();
  LogSearch search{.range = {.organization_id = std::move(organization_id)}};
  TRY(search.range.start, read_time("start_time", asked.start_time));
  TRY(search.range.end, read_time("end_time", asked.end_time));
  const int64_t now = to_unix_nanos(clock_.wall_now());
  const Duration retention = logs_.settings().retention;
  if (search.range.start >= search.range.end) {
    return Error::invalid("/start_time must be before /end_time");
  }
  if (search.range.end > now + kClockSlack.count()) {
    return Error::invalid("/end_time must not be in the future");
  }
  if (search.range.start < now - retention.count() - kClockSlack.count()) {
    return Error::invalid(
        fmt::format("/start_time must not be more than {} days ago: older entries are not kept",
                    std::chrono::floor<std::chrono::days>(retention).count()));
  }
  const int32_t page_size = asked.page_size.value_or(100);
  if (page_size < 1 || page_size > 100) {
    return Error::invalid("/page_size must be between 1 and 100");
  }
  search.page_size = static_cast<size_t>(page_size);
  search.range.descending = asked.sort_order.value_or(SortOrder::Desc) == SortOrder::Desc;
  Result<LogQuery> query = LogQuery::parse(asked.query);
  if (!query) return Error::invalid("/query: " + query.error().message);
  search.query = *std::move(query);
  return search;
}

Answer LogEntryEndpoint::search(LogSearch search, std::string organization_name) {
  const bool descending = search.range.descending;
  CO_TRY(const LogPage page,
         co_await search_log(logs_.database(), clock_, std::move(search), settings_));
  if (page.entries.empty() && !page.whole) co_return gave_up(page, descending);
  json::array items;
  for (const LogEntry& entry : page.entries) items.push_back(entry_json(entry));
  json::object out;
  out["items"] = std::move(items);
  out["organization_name"] = organization_name;
  out["page_min_time"] = time_text(page.min_time);
  out["page_max_time"] = time_text(page.max_time);
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
