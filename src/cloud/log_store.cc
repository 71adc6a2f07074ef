#include "cloud/log_store.h"

#include <algorithm>

namespace mesclun::cloud {

namespace {

// Of one commit, so that reads and lines do not wait long behind it; later ones go on.
constexpr int64_t kPrunedAtOnceMax = 20'000;
// Steps double: so many find the end of any run of times that was not made to hide it.
constexpr int kTimeTriesMax = 20;

constexpr std::string_view kContainer = "container";

struct NewRow {
  std::string_view resource_type = kContainer;
  const std::string& organization_id;
  const std::string& group_id;
  const std::string& instance_id;
  const std::string& machine_id;
  int32_t version = 1;
  const std::string& text;
  std::string stream = {};
};

// At `time` or the next one that is free, which `time` is then.
Result<> insert_row(store::Transaction& tx, const NewRow& row, int64_t& time, int64_t now) {
  int64_t step = kLogTick;
  for (int tries = 0; tries <= kTimeTriesMax; ++tries) {
    TRY(const int64_t inserted,
        tx.execute(
            "INSERT INTO log_line (group_id, instance_id, machine_id, version, time, "
            "receive_time, stream, text, organization_id, resource_type) VALUES ($1, $2, $3, "
            "$4, $5, $6, $7, $8, $9, $10) ON CONFLICT (organization_id, time) DO NOTHING",
            {row.group_id, row.instance_id, row.machine_id, int64_t{row.version}, time, now,
             row.stream, row.text, row.organization_id, std::string(row.resource_type)}));
    if (inserted > 0) return {};
    time += step;
    step *= 2;
    if (tries + 1 == kTimeTriesMax) {
      TRY(const auto newest, tx.query("SELECT MAX(time) FROM log_line WHERE organization_id = $1",
                                      {row.organization_id}));
      time = newest[0].integer(0) + kLogTick;
    }
  }
  return Error::internal("no time is free for a line of the log");
}

Result<> count_rows(store::Transaction& tx, const std::string& organization_id, int64_t rows) {
  TRY_DO(
      tx.execute("INSERT INTO log_size (organization_id, lines) VALUES ($1, $2) ON CONFLICT "
                 "(organization_id) DO UPDATE SET lines = lines + excluded.lines",
                 {organization_id, rows}));
  return {};
}

Result<> name_group(store::Transaction& tx, const std::string& group_id, const LogOwner& owner) {
  TRY_DO(
      tx.execute("INSERT INTO log_group (group_id, project_name, group_name) VALUES ($1, $2, $3) "
                 "ON CONFLICT (group_id) DO NOTHING",
                 {group_id, owner.project_name, owner.group_name}));
  return {};
}

Result<> remove_oldest(store::Transaction& tx, const std::string& organization_id, int64_t lines) {
  TRY(const int64_t removed,
      tx.execute("DELETE FROM log_line WHERE sequence IN (SELECT sequence FROM log_line WHERE "
                 "organization_id = $1 ORDER BY sequence LIMIT $2)",
                 {organization_id, std::min(lines, kPrunedAtOnceMax)}));
  return count_rows(tx, organization_id, -removed);
}

}  // namespace

LogEntry entry_of(std::string resource_type, const LogRow& row, const LogOwner& owner) {
  LogEntry entry{.time = row.time,
                 .receive_time = row.receive_time,
                 .resource_type = std::move(resource_type)};
  const auto label = [&entry](const char* name, const std::string& value) {
    if (!value.empty()) entry.labels.emplace(name, value);
  };
  label("project_name", owner.project_name);
  label("container_group_name", owner.group_name);
  if (entry.resource_type != "deployment_controller") {
    label("instance_id", row.instance_id);
    label("machine_id", row.machine_id);
    label("container_group_version", std::to_string(row.version));
  }
  set_log(entry, row.text);
  return entry;
}

int64_t entry_time(int64_t said, int64_t received, int64_t retention) {
  const int64_t time = said > received || said < received - retention ? received : said;
  return time / kLogTick * kLogTick;
}

Result<> insert_lines(store::Transaction& tx, const OwnedLines& lines, int64_t now,
                      int64_t retention) {
  const link::LogBatch& batch = lines.batch;
  if (!batch.lines.empty()) {
    TRY_DO(name_group(tx, batch.group_id, lines.owner));
    int64_t next = 0;
    for (const link::LogLine& line : batch.lines) {
      // Lines of a batch are in their order, whatever the clock did.
      int64_t time = std::max(entry_time(line.time, now, retention), next);
      const NewRow row{.organization_id = lines.owner.organization_id,
                       .group_id = batch.group_id,
                       .instance_id = batch.instance_id,
                       .machine_id = lines.machine_id,
                       .version = batch.version,
                       .text = line.text,
                       .stream = line.stream};
      TRY_DO(insert_row(tx, row, time, now));
      next = time + kLogTick;
    }
    TRY_DO(count_rows(tx, lines.owner.organization_id, std::ssize(batch.lines)));
  }
  if (batch.sequence == 0) return {};
  TRY_DO(tx.execute(
      "INSERT INTO log_node (machine_id, sequence, time) VALUES ($1, $2, $3) ON CONFLICT "
      "(machine_id) DO UPDATE SET sequence = excluded.sequence, time = excluded.time",
      {lines.machine_id, batch.sequence, now}));
  return {};
}

Result<> insert_events(store::Transaction& tx, std::span<const OwnedEvent> events, int64_t cursor,
                       int64_t now, int64_t retention) {
  for (const OwnedEvent& event : events) {
    TRY_DO(name_group(tx, event.group_id, event.owner));
    int64_t time = entry_time(event.time, now, retention);
    const NewRow row{.resource_type = event.resource_type,
                     .organization_id = event.owner.organization_id,
                     .group_id = event.group_id,
                     .instance_id = event.instance_id,
                     .machine_id = event.machine_id,
                     .version = event.version,
                     .text = event.name};
    TRY_DO(insert_row(tx, row, time, now));
    TRY_DO(count_rows(tx, event.owner.organization_id, 1));
  }
  TRY_DO(
      tx.execute("INSERT INTO log_event (id, sequence) VALUES (1, $1) ON CONFLICT (id) DO UPDATE "
                 "SET sequence = excluded.sequence",
                 {cursor}));
  return {};
}

Result<int64_t> load_event_cursor(store::Transaction& tx) {
  TRY(const auto rows, tx.query("SELECT sequence FROM log_event WHERE id = 1"));
  return rows.empty() ? 0 : rows[0].integer(0);
}

Result<std::map<std::string, int64_t>> load_log_sequences(store::Transaction& tx) {
  TRY(const auto rows, tx.query("SELECT machine_id, sequence FROM log_node"));
  std::map<std::string, int64_t> out;
  for (const store::Row& row : rows) out[row.text(0)] = row.integer(1);
  return out;
}

Result<> remove_beyond(store::Transaction& tx, const std::string& organization_id,
                       const LogSizes& sizes) {
  TRY(const auto rows,
      tx.query("SELECT lines FROM log_size WHERE organization_id = $1", {organization_id}));
  if (rows.empty() || rows[0].integer(0) <= sizes.organization_lines_max) return {};
  return remove_oldest(tx, organization_id, rows[0].integer(0) - sizes.organization_lines_max);
}

Result<> remove_from_largest(store::Transaction& tx, const LogSizes& sizes) {
  TRY(const auto total, tx.query("SELECT COALESCE(SUM(lines), 0) FROM log_size"));
  if (total[0].integer(0) <= sizes.lines_max) return {};
  TRY(const auto largest,
      tx.query("SELECT organization_id FROM log_size ORDER BY lines DESC LIMIT 1"));
  return remove_oldest(tx, largest[0].text(0), total[0].integer(0) - sizes.lines_max);
}

// Sequences grow with the time of receipt.
Result<> remove_aged(store::Transaction& tx, int64_t now, const LogSizes& sizes) {
  const int64_t oldest = now - sizes.retention;
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
    TRY_DO(count_rows(tx, id, -removed));
  }
  TRY_DO(
      tx.execute("DELETE FROM log_group WHERE NOT EXISTS (SELECT 1 FROM log_line WHERE "
                 "log_line.group_id = log_group.group_id)"));
  TRY_DO(tx.execute("DELETE FROM log_node WHERE time < $1", {oldest}));
  return {};
}

// log_line_by_time has the rows in either order.
Result<std::vector<LogEntry>> load_entries(store::Transaction& tx, const LogRange& range,
                                           int64_t limit) {
  std::string sql =
      "SELECT l.time, l.receive_time, l.resource_type, l.text, l.instance_id, l.machine_id, "
      "l.version, g.project_name, g.group_name FROM log_line l LEFT JOIN log_group g ON g.group_id "
      "= l.group_id WHERE l.organization_id = $1 AND l.time >= $2 AND l.time < $3 ORDER BY l.time ";
  sql += range.descending ? "DESC LIMIT $4" : "ASC LIMIT $4";
  TRY(const auto rows, tx.query(sql, {range.organization_id, range.start, range.end, limit}));
  std::vector<LogEntry> out;
  out.reserve(rows.size());
  for (const store::Row& row : rows) {
    const LogRow found{.time = row.integer(0),
                       .receive_time = row.integer(1),
                       .text = row.text(3),
                       .instance_id = row.text(4),
                       .machine_id = row.text(5),
                       .version = static_cast<int32_t>(row.integer(6))};
    const LogOwner owner{.project_name = row.text(7), .group_name = row.text(8)};
    out.push_back(entry_of(row.text(2), found, owner));
  }
  return out;
}

}  // namespace mesclun::cloud
