#include "client/stream_verbs.h"

#include <fmt/format.h>

#include "base/units.h"
#include "client/group_verbs.h"
#include "client/instance_verbs.h"

namespace mesclun::client {

namespace {

// Enough to catch up fast, few enough for one answer.
constexpr int64_t kPageSize = 1000;
constexpr int64_t kWaitSecondsMax = 25;  // the server allows 30
constexpr Duration kFirstPause = 500ms;
constexpr Duration kLongestPause = 15s;
// Lines that trickle are fetched together: four calls a second at most.
constexpr Duration kBetweenPages = 250ms;

std::string_view kind_name(StreamKind kind) {
  return kind == StreamKind::Logs ? "logs" : "events";
}

struct Page {
  json::value document;
  int64_t last = -1;  // up to which sequence there was a look; -1: nothing is there
  size_t size = 0;
};

template <class T>
Result<T> read_item(const json::value& item) {
  T view;
  JsonProblems problems;
  read_json(item, view, JsonPath{}, problems);
  if (!problems.empty()) {
    return Error::internal("the API's answer is not understood: " + problems.summary());
  }
  return view;
}

const json::array* items_of(const json::value& document) {
  const json::object* object = document.if_object();
  const json::value* items = object == nullptr ? nullptr : object->if_contains("items");
  return items == nullptr ? nullptr : items->if_array();
}

Result<std::string> item_line(Session& session, StreamKind kind, const json::value& item) {
  if (session.json()) return json::serialize(item) + "\n";
  if (kind == StreamKind::Events) {
    TRY(const EventView event, read_item<EventView>(item));
    return format_event(event) + "\n";
  }
  TRY(const LogLineView line, read_item<LogLineView>(item));
  return format_log_line(line, session.console.out_is_terminal) + "\n";
}

Task<Result<Page>> fetch(Session& session, StreamKind kind, std::string group, PageQuery query) {
  Page page;
  CO_TRY(page.document,
         co_await session.api.list_happenings(group, std::string(kind_name(kind)), query));
  const json::array* items = items_of(page.document);
  if (items == nullptr) co_return Error::internal("the API's answer has no items");
  page.size = items->size();
  // Lines that a query leaves out have sequences too.
  if (const json::value* looked_to = page.document.get_object().if_contains("looked_to")) {
    if (looked_to->is_number()) page.last = looked_to->to_number<int64_t>();
  }
  if (items->empty() || page.last >= 0) co_return page;
  const json::object* last = items->back().if_object();
  const json::value* sequence = last == nullptr ? nullptr : last->if_contains("sequence");
  if (sequence == nullptr || !sequence->is_number()) {
    co_return Error::internal("the API's answer has items without a sequence");
  }
  page.last = sequence->to_number<int64_t>();
  co_return page;
}

// Leaves the items that are not older than `since`, by the times that they carry.
Result<> drop_older(json::value& document, WallTime since) {
  json::array& items = *document.get_object().at("items").if_array();
  json::array kept;
  for (json::value& item : items) {
    const json::value* time = item.is_object() ? item.get_object().if_contains("time") : nullptr;
    if (time == nullptr || !time->is_string()) return Error::internal("an item has no time");
    TRY(const WallTime then, parse_rfc3339(time->get_string()));
    if (then >= since) kept.push_back(std::move(item));
  }
  items = std::move(kept);
  return {};
}

Result<> print_items(Session& session, StreamKind kind, const json::value& document) {
  std::string text;
  for (const json::value& item : *items_of(document)) {
    TRY(const std::string line, item_line(session, kind, item));
    text += line;
  }
  session.console.print(text);
  return {};
}

// The server waits for news at most half of what a call may take, so that a quiet cloud does not
// look like one that is away.
int64_t wait_seconds(const ApiSettings& settings) {
  const int64_t half =
      std::chrono::floor<std::chrono::seconds>(settings.request_timeout).count() / 2;
  return std::min(half, kWaitSecondsMax);
}

Task<Result<>> follow(Session& session, StreamKind kind, StreamOptions options, PageQuery query) {
  query.wait_seconds = wait_seconds(session.api.settings());
  query.limit = kPageSize;
  Duration pause = kFirstPause;
  std::optional<TimePoint> away_since;
  while (true) {
    Result<Page> page = co_await fetch(session, kind, options.group, query);
    if (page) {
      away_since.reset();
      pause = kFirstPause;
      CO_TRY_DO(print_items(session, kind, page->document));
      query.after = std::max(query.after.value_or(0), page->last);
      // Without a waiting server our own pause keeps the rate below the limit.
      if (page->size == 0 && query.wait_seconds == 0) {
        CO_TRY_DO(co_await session.clock.sleep_for(1s));
      } else if (page->size > 0 && page->size < kPageSize) {
        CO_TRY_DO(co_await session.clock.sleep_for(kBetweenPages));
      }
      continue;
    }
    if (page.code() == ErrorCode::NotFound) {
      session.console.note(fmt::format("group '{}' was deleted", options.group));
      co_return Result<>();
    }
    if (!passes_by_itself(page.error())) co_return page.error();
    const TimePoint now = session.clock.now();
    if (!away_since) {
      away_since = now;
      session.console.note(page.error().message + "; trying again for " +
                           format_duration(options.patience));
    }
    if (now + pause - *away_since > options.patience) co_return page.error();
    CO_TRY_DO(co_await session.clock.sleep_for(pause));
    pause = std::min<Duration>(pause * 2, kLongestPause);
  }
}

}  // namespace

std::string format_event(const EventView& event) {
  const std::string instance = event.instance_id.value_or("").substr(0, 8);
  std::string line =
      fmt::format("{}  {:<8}  {}", short_time(event.time), instance, printable(event.event_name));
  if (const std::string detail = event.detail.value_or(""); !detail.empty()) {
    line += ": " + printable(detail);
  }
  return line;
}

std::string format_log_line(const LogLineView& line, bool for_terminal) {
  const std::string instance = line.instance_id.value_or("").substr(0, 8);
  const std::string prefix = fmt::format("{}  {:<8}  ", short_time(line.time), instance);
  if (!for_terminal) return prefix + line.text;
  std::string text = printable(line.text, true);
  // A colour that the line leaves on would colour everything after it.
  if (text.find('\x1b') != std::string::npos) text += "\x1b[0m";
  return prefix + text;
}

Task<Result<>> show_stream(Session& session, StreamKind kind, StreamOptions options) {
  PageQuery query{.limit = std::max<int64_t>(options.tail, 1), .query = options.query};
  if (!options.instance.empty()) {
    CO_TRY(query.instance_id, co_await find_instance(session, options.group, options.instance));
  }
  Result<Page> page = co_await fetch(session, kind, options.group, query);
  if (!page) co_return co_await suggest_groups(session, page.error(), options.group);
  if (options.since) {
    CO_TRY_DO(drop_older(page->document, session.clock.wall_now() - *options.since));
    page->size = items_of(page->document)->size();
  }
  if (session.json() && !options.follow) {
    session.print(page->document);
    co_return Result<>();
  }
  if (options.tail > 0) CO_TRY_DO(print_items(session, kind, page->document));
  if (!options.follow) {
    if (page->size == 0) session.console.note(fmt::format("No {} yet.", kind_name(kind)));
    co_return Result<>();
  }
  query.after = std::max<int64_t>(page->last, 0);
  co_return co_await follow(session, kind, std::move(options), std::move(query));
}

}  // namespace mesclun::client
