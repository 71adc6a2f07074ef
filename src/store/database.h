// Rows in tables, transactions, and answers that leave only after their commit. Knows SQL, no nouns
// of ours.
//
// One SQL text serves SQLite now and PostgreSQL later (docs/adr/0003-one-sql-text.md): parameters
// are $1, $2; times BIGINT of unix nanoseconds; documents TEXT; flags INTEGER of 0 and 1; RETURNING
// and ON CONFLICT are fine.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/task.h"

namespace mesclun::store {

// What is bound to a parameter, or read from a column.
using Value = std::variant<std::nullptr_t, int64_t, double, std::string>;

class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}

  // A null reads as zero, and as the empty text.
  int64_t integer(size_t column) const;
  double real(size_t column) const;
  const std::string& text(size_t column) const;
  bool is_null(size_t column) const;
  bool flag(size_t column) const { return integer(column) != 0; }
  WallTime time(size_t column) const { return from_unix_nanos(integer(column)); }

 private:
  std::vector<Value> values_;
};

// Only valid inside the body that it was given to.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // AlreadyExists: a unique name is taken. Unavailable: locked, full, or broken disk.
  virtual Result<std::vector<Row>> query(std::string_view sql, std::vector<Value> values = {}) = 0;
  // The number of rows changed.
  virtual Result<int64_t> execute(std::string_view sql, std::vector<Value> values = {}) = 0;
};

// May run on another thread: it captures values, or what its caller keeps until the answer. It runs
// once at most. An error undoes what this body did, nothing else.
using Body = std::function<Result<>(Transaction&)>;

// Runs on: any loop; the answer comes back on the caller's.
// Promise: when write() has answered without error, the change survives a crash of process and
//          machine. Bodies run one after the other, in the order of the calls.
// Errors:  the body's own; Unavailable when the commit failed (nothing of it remains);
//          ResourceExhausted when too many wait.
// Cancel:  a call that was begun is finished: its owner learns the outcome.
class Database {
 public:
  virtual ~Database() = default;
  virtual Task<Result<>> write(Body body) = 0;
  // Sees everything that was answered before the call.
  virtual Task<Result<>> read(Body body) = 0;
};

struct Migration {
  int32_t version;  // from 1, without gaps
  std::string_view sql;
};

struct SqliteSettings {
  std::string path;  // empty: in memory, for tests and the simulator
  // true: a commit waits for the disk. false: a crash of the machine may take the last commits.
  bool durable = true;
  Duration busy_timeout = std::chrono::seconds(5);
  size_t waiting_max = 10'000;
  size_t group_max = 256;  // bodies that share one commit
  int64_t pages_max = 0;   // of 4 KiB; 0: no bound but the disk
};

// Opens, migrates, and starts a writer and a reader thread. In memory there are none: bodies run in
// the caller's turn of the loop, so that a simulation replays. FailedPrecondition: the file was
// written by a newer version.
Result<std::unique_ptr<Database>> open_sqlite(SqliteSettings settings,
                                              std::span<const Migration> migrations);

}  // namespace mesclun::store
