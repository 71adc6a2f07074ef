#include "cloud/log_search.h"

namespace mesclun::cloud {

namespace {

struct Slice {
  std::vector<LogEntry> found;
  int64_t looked_at = 0;
  int64_t last = 0;    // time of the last entry that was looked at
  bool ended = false;  // there is no more in the range
};

size_t size_of(const LogEntry& entry) {
  // As text, roughly; the members of JSON have a price as well.
  return 256 + entry.text_log.size() + (entry.json_log ? 64 * entry.json_log->size() : 0);
}

Result<> look(store::Transaction& tx, const LogSearch& search, const LogSearchSettings& settings,
              size_t wanted, Slice& slice) {
  TRY(std::vector<LogEntry> entries, load_entries(tx, search.range, settings.slice_entries));
  slice.ended = std::ssize(entries) < settings.slice_entries;
  size_t work = 0;
  for (LogEntry& entry : entries) {
    ++slice.looked_at;
    slice.last = entry.time;
    work += size_of(entry) * (search.query.clauses() + 1);
    if (search.query.matches(entry)) slice.found.push_back(std::move(entry));
    if (slice.found.size() < wanted && work < settings.slice_work) continue;
    slice.ended = slice.ended && &entry == &entries.back();
    break;
  }
  return {};
}

}  // namespace

Task<Result<LogPage>> search_log(store::Database& database, Clock& clock, LogSearch search,
                                 LogSearchSettings settings) {
  const TimePoint end = clock.now() + settings.time_max;
  LogPage page{.min_time = search.range.start, .max_time = search.range.end};
  auto shared = std::make_shared<LogSearch>(std::move(search));
  LogRange& rest = shared->range;
  int64_t last = 0;
  while (true) {
    auto slice = std::make_shared<Slice>();
    const size_t wanted = shared->page_size - page.entries.size();
    store::Body body = [=](store::Transaction& tx) {
      return look(tx, *shared, settings, wanted, *slice);
    };
    CO_TRY_DO(co_await database.read(std::move(body)));
    page.looked_at += slice->looked_at;
    page.whole = slice->ended;
    for (LogEntry& entry : slice->found) page.entries.push_back(std::move(entry));
    if (slice->looked_at > 0) {
      last = slice->last;
      (rest.descending ? rest.end : rest.start) = rest.descending ? last : last + kLogTick;
    }
    if (page.whole || page.entries.size() >= shared->page_size || clock.now() >= end) break;
  }
  // An empty page has the bounds of the question.
  if (page.whole && page.entries.empty()) co_return page;
  // Going on from an entry that matches rather than from the range's end: there may be more by then.
  if (page.whole) last = page.entries.back().time;
  if (rest.descending) {
    page.min_time = last;
  } else {
    page.max_time = last + kLogTick;
  }
  co_return page;
}

}  // namespace mesclun::cloud
