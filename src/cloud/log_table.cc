#include "cloud/log_table.h"

#include <algorithm>
#include <set>

#include "base/log.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kTextBytesMax = 10'000;  // api.md §11.1
constexpr int64_t kLinesBetweenPrunes = 20'000;

}  // namespace

void LogTable::append(const std::string& machine_id, link::LogBatch batch) {
  dropped_ += batch.dropped;
  if (waiting_lines_ + batch.lines.size() > settings_.waiting_lines_max) {
    dropped_ += std::ssize(batch.lines);
    return;
  }
  waiting_lines_ += batch.lines.size();
  waiting_.emplace_back(machine_id, std::move(batch));
  arrived_.notify_all();
}

Task<Result<>> LogTable::run() {
  while (true) {
    while (waiting_.empty()) CO_TRY_DO(co_await arrived_.wait());
    auto batches = std::exchange(waiting_, {});
    const auto lines = static_cast<int64_t>(std::exchange(waiting_lines_, 0));
    std::set<std::string> groups;
    for (const auto& [machine_id, batch] : batches) groups.insert(batch.group_id);
    const Result<> written = co_await write(std::move(batches));
    if (written) {
      lines_since_prune_ += lines;
    } else {
      dropped_ += lines;
    }
    for (const std::string& id : groups) stored_.tell(id);
    if (dropped_ > 0) {
      log_warning(
          "logs", "lines of containers were lost",
          {{"lines", std::exchange(dropped_, 0)},
           {"error", written ? std::string("too many at once") : to_string(written.error())}});
    }
    CO_TRY_DO(co_await clock_.sleep_for(50ms));
  }
}

Task<Result<>> LogTable::write(std::deque<std::pair<std::string, link::LogBatch>> batches) {
  const bool prune = lines_since_prune_ >= kLinesBetweenPrunes;
  if (prune) lines_since_prune_ = 0;
  const int64_t now = to_unix_nanos(clock_.wall_now());
  const int64_t oldest = now - settings_.retention.count();
  const int64_t lines_max = settings_.lines_max;
  auto shared = std::make_shared<decltype(batches)>(std::move(batches));
  store::Body body = [shared, prune, now, oldest, lines_max](store::Transaction& tx) -> Result<> {
    for (const auto& [machine_id, batch] : *shared) {
      for (const link::LogLine& line : batch.lines) {
        TRY_DO(
            tx.execute("INSERT INTO log_line (group_id, instance_id, machine_id, version, time, "
                       "receive_time, stream, text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                       {batch.group_id, batch.instance_id, machine_id, int64_t{batch.version},
                        line.time, now, line.stream, line.text.substr(0, kTextBytesMax)}));
      }
    }
    if (!prune) return {};
    TRY_DO(
        tx.execute("DELETE FROM log_line WHERE sequence <= (SELECT COALESCE(MAX(sequence), 0) FROM "
                   "log_line) - "
                   "$1 OR receive_time < $2",
                   {lines_max, oldest}));
    return {};
  };
  co_return co_await database_.write(std::move(body));
}

Task<Result<std::vector<LogRow>>> LogTable::read_once(std::string group_id, std::string instance_id,
                                                      std::optional<int64_t> after, int64_t limit) {
  auto rows = std::make_shared<std::vector<LogRow>>();
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    TRY(const auto found,
        tx.query(std::string("SELECT sequence, time, receive_time, stream, text, instance_id, "
                             "machine_id, version FROM log_line WHERE group_id = $1 AND "
                             "sequence > $2 AND ($3 = '' OR instance_id = $3) ORDER BY sequence ") +
                     (after ? "ASC" : "DESC") + " LIMIT $4",
                 {group_id, after.value_or(0), instance_id, limit}));
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
  const auto follower = stored_.follow(group_id);
  while (true) {
    CO_TRY(auto rows, co_await read_once(group_id, instance_id, after, limit));
    if (!rows.empty() || clock_.now() >= end) co_return rows;
    CO_TRY_DO(co_await follower->wait_until(clock_, end));
  }
}

}  // namespace mesclun::cloud
