#include "cloud/log_table.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace mesclun::cloud {

namespace {

// What an honest agent sends of a line. An entry shows less of a text, but a JSON line must be whole.
constexpr size_t kLineBytesMax = 16 * 1024;
constexpr size_t kOrganizationPart = 4;  // one may use 1/4 of what waits
constexpr Duration kLookForAged = 1min;
constexpr int64_t kLookedAtOnce = 500;  // by a query, in one turn of the reader

}  // namespace

Task<Result<>> LogTable::load() {
  auto loaded = std::make_shared<std::map<std::string, int64_t>>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(*loaded, load_log_sequences(tx));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  for (const auto& [machine_id, sequence] : *loaded) sequences_[machine_id] = {sequence, sequence};
  co_return Result<>();
}

int64_t LogTable::stored(const std::string& machine_id) const {
  const auto found = sequences_.find(machine_id);
  return found == sequences_.end() ? 0 : found->second.stored;
}

bool LogTable::is_new(const std::string& machine_id, const link::LogBatch& batch) {
  if (batch.sequence == 0) return true;
  const Sequences& known = sequences_[machine_id];
  if (batch.sequence <= known.stored && listener_.acknowledge) {
    listener_.acknowledge(machine_id, known.stored);
  }
  // One that follows what found no room waits with it.
  return batch.sequence > known.accepted && batch.after <= known.accepted;
}

void LogTable::accepted(const std::string& machine_id, const link::LogBatch& batch) {
  if (batch.sequence > 0) sequences_[machine_id].accepted = batch.sequence;
}

void LogTable::append(const std::string& machine_id, LogOwner owner, link::LogBatch batch) {
  if (!is_new(machine_id, batch)) return;
  drop(batch.dropped);
  if (batch.lines.empty() && batch.sequence == 0) return;
  Load more{.lines = batch.lines.size()};
  for (link::LogLine& line : batch.lines) {
    if (line.text.size() > kLineBytesMax) line.text = valid_utf8(line.text, kLineBytesMax);
    more.bytes += line.text.size();
  }
  Load& own = load_of_[owner.organization_id];
  const auto fits = [&](const Load& load, size_t part) {
    return load.lines + more.lines <= settings_.waiting_lines_max / part &&
           load.bytes + more.bytes <= settings_.waiting_bytes_max / part;
  };
  // One that fits no empty queue would come again for ever.
  const bool never = !fits({}, kOrganizationPart);
  if (never || !fits(waiting_load_, 1) || !fits(own, kOrganizationPart)) {
    if (batch.sequence == 0 || never) drop(std::ssize(batch.lines));
    if (batch.sequence == 0 || !never) return;
    batch.lines.clear();
    more = {};
  }
  for (Load* load : {&waiting_load_, &own}) {
    load->lines += more.lines;
    load->bytes += more.bytes;
  }
  accepted(machine_id, batch);
  waiting_.push_back({machine_id, std::move(owner), std::move(batch)});
  arrived_.notify_all();
}

void LogTable::discard(const std::string& machine_id, link::LogBatch batch) {
  if (batch.sequence == 0 || !is_new(machine_id, batch)) return;
  batch.lines.clear();
  accepted(machine_id, batch);
  waiting_.push_back({machine_id, {}, std::move(batch)});
  arrived_.notify_all();
}

Task<Result<>> LogTable::run() {
  while (true) {
    while (waiting_.empty()) CO_TRY_DO(co_await arrived_.wait());
    const auto batches = std::make_shared<const Batches>(std::exchange(waiting_, {}));
    waiting_load_ = {};
    load_of_.clear();
    const Result<> written = co_await write(batches);
    settle(*batches, written.has_value());
    if (dropped_ > 0) {
      log_warning(
          "logs", "lines of containers were lost",
          {{"lines", std::exchange(dropped_, 0)},
           {"error", written ? std::string("too many at once") : to_string(written.error())}});
    }
    CO_TRY_DO(co_await clock_.sleep_for(50ms));
  }
}

void LogTable::settle(const Batches& batches, bool written) {
  std::set<std::string> groups;
  std::set<std::string> machines;
  for (const OwnedLines& lines : batches) {
    if (!lines.batch.lines.empty()) groups.insert(lines.batch.group_id);
    if (lines.batch.sequence == 0) {
      if (!written) drop(std::ssize(lines.batch.lines));
      continue;
    }
    machines.insert(lines.machine_id);
    Sequences& known = sequences_[lines.machine_id];
    // What was not stored comes again, with all that followed it.
    if (written) known.stored = std::max(known.stored, lines.batch.sequence);
    if (!written) known.accepted = known.stored;
  }
  if (!written) return;
  for (const std::string& id : machines) {
    if (listener_.acknowledge) listener_.acknowledge(id, sequences_[id].stored);
  }
  for (const std::string& id : groups) followers_.tell(id);
  if (listener_.written && !groups.empty()) listener_.written(batches);
}

Task<Result<>> LogTable::write(std::shared_ptr<const Batches> batches) {
  const bool look_for_aged = clock_.now() >= aged_ + kLookForAged;
  if (look_for_aged) aged_ = clock_.now();
  const int64_t now = to_unix_nanos(clock_.wall_now());
  const LogSizes sizes{.lines_max = settings_.lines_max,
                       .organization_lines_max = settings_.organization_lines_max,
                       .retention = settings_.retention.count()};
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    std::set<std::string> organizations;
    for (const OwnedLines& lines : *batches) {
      TRY_DO(insert_lines(tx, lines, now, sizes.retention));
      if (!lines.batch.lines.empty()) organizations.insert(lines.owner.organization_id);
    }
    for (const std::string& id : organizations) TRY_DO(remove_beyond(tx, id, sizes));
    TRY_DO(remove_from_largest(tx, sizes));
    if (look_for_aged) TRY_DO(remove_aged(tx, now, sizes));
    return {};
  };
  co_return co_await database_.write(std::move(body));
}

// Each form has an index whose order is the answer's.
Task<Result<LogTable::Slice>> LogTable::read_once(std::shared_ptr<const LogLines> lines,
                                                  std::optional<int64_t> before) {
  ++reads_;
  auto slice = std::make_shared<Slice>();
  store::Body body = [lines, before, slice](store::Transaction& tx) -> Result<> {
    const int64_t limit = lines->query ? kLookedAtOnce : lines->limit;
    std::string sql =
        "SELECT sequence, time, receive_time, stream, text, instance_id, machine_id, version FROM "
        "log_line WHERE group_id = $1 AND sequence > $2 AND sequence < $3 AND "
        "resource_type = 'container'";
    std::vector<store::Value> values{lines->group_id, lines->after.value_or(0),
                                     before.value_or(INT64_MAX), limit};
    if (!lines->instance_id.empty()) {
      sql += " AND instance_id = $5";
      values.emplace_back(lines->instance_id);
    }
    sql += lines->after ? " ORDER BY sequence ASC LIMIT $4" : " ORDER BY sequence DESC LIMIT $4";
    TRY(const auto found, tx.query(sql, std::move(values)));
    slice->full = std::ssize(found) == limit;
    for (const store::Row& row : found) {
      LogRow line{
          row.integer(0), row.integer(1), row.integer(2), row.text(3),
          row.text(4),    row.text(5),    row.text(6),    static_cast<int32_t>(row.integer(7))};
      slice->first = std::min(slice->first.value_or(line.sequence), line.sequence);
      slice->last = std::max(slice->last.value_or(line.sequence), line.sequence);
      if (!lines->query || lines->query->matches(entry_of("container", line, lines->owner))) {
        slice->rows.push_back(std::move(line));
      }
    }
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  co_return std::move(*slice);
}

Task<Result<LogLinesPage>> LogTable::read(LogLines lines, Duration wait) {
  const TimePoint end = clock_.now() + wait;
  const TimePoint look_end = clock_.now() + kLookMax;
  const auto follower = followers_.follow(lines.group_id);
  const auto limit = static_cast<size_t>(lines.limit);
  bool forwards = lines.after.has_value();
  std::optional<int64_t> before;
  LogLinesPage page{.looked_to = lines.after};
  while (true) {
    CO_TRY(Slice slice, co_await read_once(std::make_shared<const LogLines>(lines), before));
    for (LogRow& row : slice.rows) {
      if (page.rows.size() < limit) page.rows.push_back(std::move(row));
    }
    if (slice.last && (forwards || !page.looked_to)) page.looked_to = slice.last;
    if (forwards && slice.last) lines.after = slice.last;
    if (!forwards && slice.first) before = slice.first;
    const bool enough = page.rows.size() >= limit || clock_.now() >= look_end;
    if (slice.full && lines.query && !enough) continue;
    if (!page.rows.empty() || slice.full || clock_.now() >= end) break;
    CO_TRY_DO(co_await follower->wait_until(clock_, end));
    // What came is newer than what was looked at.
    if (page.looked_to) lines.after = page.looked_to;
    forwards = lines.after.has_value();
    before.reset();
  }
  // A page that had no room for all that matched goes on behind its last.
  if (forwards && page.rows.size() >= limit) page.looked_to = page.rows.back().sequence;
  if (!forwards) std::ranges::reverse(page.rows);
  co_return page;
}

}  // namespace mesclun::cloud
