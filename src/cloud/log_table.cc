#include "cloud/log_table.h"

#include <algorithm>

#include "base/log.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kTextBytesMax = 10'000;  // api.md §11.1
constexpr size_t kOrganizationPart = 4;   // one may use 1/4 of what waits
// Of one commit, so that reads and lines do not wait long behind it; later ones go on.
constexpr int64_t kPrunedAtOnceMax = 20'000;
constexpr Duration kLookForAged = 1min;

Result<> insert(store::Transaction& tx, const std::string& machine_id,
                const std::string& organization_id, const link::LogBatch& batch, int64_t now) {
  for (const link::LogLine& line : batch.lines) {
    TRY_DO(tx.execute(
        "INSERT INTO log_line (group_id, instance_id, machine_id, version, time, receive_time, "
        "stream, text, organization_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        {batch.group_id, batch.instance_id, machine_id, int64_t{batch.version}, line.time, now,
         line.stream, line.text, organization_id}));
  }
  TRY_DO(
      tx.execute("INSERT INTO log_size (organization_id, lines) VALUES ($1, $2) ON CONFLICT "
                 "(organization_id) DO UPDATE SET lines = lines + excluded.lines",
                 {organization_id, std::ssize(batch.lines)}));
  return {};
}

Result<> remove_oldest(store::Transaction& tx, const std::string& organization_id, int64_t lines) {
  TRY(const int64_t removed,
      tx.execute("DELETE FROM log_line WHERE sequence IN (SELECT sequence FROM log_line WHERE "
                 "organization_id = $1 ORDER BY sequence LIMIT $2)",
                 {organization_id, std::min(lines, kPrunedAtOnceMax)}));
  TRY_DO(tx.execute("UPDATE log_size SET lines = lines - $2 WHERE organization_id = $1",
                    {organization_id, removed}));
  return {};
}

Result<> remove_beyond(store::Transaction& tx, const std::string& organization_id,
                       int64_t lines_max) {
  TRY(const auto rows,
      tx.query("SELECT lines FROM log_size WHERE organization_id = $1", {organization_id}));
  if (rows.empty() || rows[0].integer(0) <= lines_max) return {};
  return remove_oldest(tx, organization_id, rows[0].integer(0) - lines_max);
}

Result<> remove_from_largest(store::Transaction& tx, int64_t lines_max) {
  TRY(const auto total, tx.query("SELECT COALESCE(SUM(lines), 0) FROM log_size"));
  if (total[0].integer(0) <= lines_max) return {};
  TRY(const auto largest,
      tx.query("SELECT organization_id FROM log_size ORDER BY lines DESC LIMIT 1"));
  return remove_oldest(tx, largest[0].text(0), total[0].integer(0) - lines_max);
}

// Sequences grow with the time of receipt.
Result<> remove_aged(store::Transaction& tx, int64_t oldest) {
  TRY(const auto organizations, tx.query("SELECT organization_id FROM log_size"));
  for (const store::Row& row : organizations) {
    const std::string id = row.text(0);
    TRY(const auto first,
        tx.query("SELECT receive_time FROM log_line WHERE organization_id = $1 ORDER BY sequence "
                 "LIMIT 1",
                 {id}));
    if (first.empty() || first[0].integer(0) >= oldest) continue;
    TRY(const int64_t removed,
        tx.execute("DELETE FROM log_line WHERE sequence IN (SELECT sequence FROM log_line WHERE "
                   "organization_id = $1 ORDER BY sequence LIMIT $2) AND receive_time < $3",
                   {id, kPrunedAtOnceMax, oldest}));
    TRY_DO(tx.execute("UPDATE log_size SET lines = lines - $2 WHERE organization_id = $1",
                      {id, removed}));
  }
  return {};
}

}  // namespace

void LogTable::append(const std::string& machine_id, const std::string& organization_id,
                      link::LogBatch batch) {
  drop(batch.dropped);
  if (batch.lines.empty()) return;
  Load more{.lines = batch.lines.size()};
  for (link::LogLine& line : batch.lines) {
    if (line.text.size() > kTextBytesMax) line.text.resize(kTextBytesMax);
    more.bytes += line.text.size();
  }
  Load& own = load_of_[organization_id];
  const auto fits = [&](const Load& load, size_t part) {
    return load.lines + more.lines <= settings_.waiting_lines_max / part &&
           load.bytes + more.bytes <= settings_.waiting_bytes_max / part;
  };
  if (!fits(waiting_load_, 1) || !fits(own, kOrganizationPart)) {
    drop(std::ssize(batch.lines));
    return;
  }
  for (Load* load : {&waiting_load_, &own}) {
    load->lines += more.lines;
    load->bytes += more.bytes;
  }
  waiting_.push_back({machine_id, organization_id, std::move(batch)});
  arrived_.notify_all();
}

Task<Result<>> LogTable::run() {
  while (true) {
    while (waiting_.empty()) CO_TRY_DO(co_await arrived_.wait());
    const auto batches = std::make_shared<const Batches>(std::exchange(waiting_, {}));
    const auto lines = static_cast<int64_t>(std::exchange(waiting_load_, {}).lines);
    load_of_.clear();
    const Result<> written = co_await write(batches);
    if (!written) drop(lines);
    std::set<std::string> groups;
    for (const Batch& batch : *batches) groups.insert(batch.lines.group_id);
    for (const std::string& id : groups) followers_.tell(id);
    if (dropped_ > 0) {
      log_warning(
          "logs", "lines of containers were lost",
          {{"lines", std::exchange(dropped_, 0)},
           {"error", written ? std::string("too many at once") : to_string(written.error())}});
    }
    CO_TRY_DO(co_await clock_.sleep_for(50ms));
  }
}

Task<Result<>> LogTable::write(std::shared_ptr<const Batches> batches) {
  const bool look_for_aged = clock_.now() >= aged_ + kLookForAged;
  if (look_for_aged) aged_ = clock_.now();
  const int64_t now = to_unix_nanos(clock_.wall_now());
  const LogTableSettings settings = settings_;
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    std::set<std::string> organizations;
    for (const Batch& batch : *batches) {
      TRY_DO(insert(tx, batch.machine_id, batch.organization_id, batch.lines, now));
      organizations.insert(batch.organization_id);
    }
    for (const std::string& id : organizations) {
      TRY_DO(remove_beyond(tx, id, settings.organization_lines_max));
    }
    TRY_DO(remove_from_largest(tx, settings.lines_max));
    if (look_for_aged) TRY_DO(remove_aged(tx, now - settings.retention.count()));
    return {};
  };
  co_return co_await database_.write(std::move(body));
}

// Each form has an index whose order is the answer's.
Task<Result<std::vector<LogRow>>> LogTable::read_once(std::string group_id, std::string instance_id,
                                                      std::optional<int64_t> after, int64_t limit) {
  ++reads_;
  auto rows = std::make_shared<std::vector<LogRow>>();
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    std::string sql =
        "SELECT sequence, time, receive_time, stream, text, instance_id, machine_id, version FROM "
        "log_line WHERE group_id = $1 AND sequence > $2";
    std::vector<store::Value> values{group_id, after.value_or(0), limit};
    if (!instance_id.empty()) {
      sql += " AND instance_id = $4";
      values.emplace_back(instance_id);
    }
    sql += after ? " ORDER BY sequence ASC LIMIT $3" : " ORDER BY sequence DESC LIMIT $3";
    TRY(const auto found, tx.query(sql, std::move(values)));
    for (const store::Row& row : found) {
      rows->push_back({row.integer(0), row.integer(1), row.integer(2), row.text(3), row.text(4),
                       row.text(5), row.text(6), static_cast<int32_t>(row.integer(7))});
    }
    if (!after) std::ranges::reverse(*rows);
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  co_return std::move(*rows);
}

Task<Result<std::vector<LogRow>>> LogTable::read(std::string group_id, std::string instance_id,
                                                 std::optional<int64_t> after, int64_t limit,
                                                 Duration wait) {
  const TimePoint end = clock_.now() + wait;
  const auto follower = followers_.follow(group_id);
  while (true) {
    CO_TRY(auto rows, co_await read_once(group_id, instance_id, after, limit));
    if (!rows.empty() || clock_.now() >= end) co_return rows;
    CO_TRY_DO(co_await follower->wait_until(clock_, end));
  }
}

}  // namespace mesclun::cloud
