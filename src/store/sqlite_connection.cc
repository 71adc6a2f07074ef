#include "store/sqlite_connection.h"

#include <fmt/format.h>

#include "base/file.h"

namespace mesclun::store {

namespace {

constexpr size_t kStatementsMax = 256;

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_CONSTRAINT:
      return ErrorCode::AlreadyExists;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
      return ErrorCode::Unavailable;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::FailedPrecondition;
    default:
      return ErrorCode::Internal;
  }
}

Value column_value(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_NULL:
      return nullptr;
    default:
      return std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, column)),
                         static_cast<size_t>(sqlite3_column_bytes(statement, column)));
  }
}

// A database may hold secrets. SQLite gives the files beside it the mode of the database, but those
// that are there already keep theirs.
Result<> close_to_others(const std::string& path) {
  TRY_DO(make_file_private(path));
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    const std::string beside = path + suffix;
    if (::access(beside.c_str(), F_OK) == 0) TRY_DO(make_file_private(beside));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const SqliteSettings& settings,
                                                                 Role role) {
  auto made = std::make_unique<SqliteConnection>();
  const std::string name = settings.path.empty() ? ":memory:" : settings.path;
  int flags = SQLITE_OPEN_NOMUTEX;
  flags |=
      role == Role::Writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE;
  if (role == Role::Writer && !settings.path.empty()) TRY_DO(close_to_others(settings.path));
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(name.c_str(), &raw, flags, nullptr);
  made->connection_.reset(raw);
  if (opened != SQLITE_OK) return made->last_error(fmt::format("cannot open {}", name));
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, static_cast<int>(to_millis(settings.busy_timeout)));
  if (role == Role::Reader) {
    TRY_DO(made->run_script("PRAGMA query_only = 1"));
    return made;
  }
  TRY_DO(made->run_script("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON"));
  TRY_DO(made->run_script(settings.durable ? "PRAGMA synchronous = FULL"
                                           : "PRAGMA synchronous = NORMAL"));
  if (settings.pages_max > 0) {
    TRY_DO(made->run_script(fmt::format("PRAGMA max_page_count = {}", settings.pages_max)));
  }
  return made;
}

Error SqliteConnection::last_error(std::string_view doing) const {
  sqlite3* raw = connection_.get();
  const int code = raw == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(raw);
  const char* text = raw == nullptr ? "out of memory" : sqlite3_errmsg(raw);
  return {code_of(code), fmt::format("database: {}: {}", doing, text)};
}

Result<sqlite3_stmt*> SqliteConnection::prepare(std::string_view sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) {
    return found->second.get();
  }
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK) {
    return last_error(sql);
  }
  if (statements_.size() >= kStatementsMax) statements_.clear();
  statements_[std::string(sql)].reset(raw);
  return raw;
}

Result<> SqliteConnection::bind(sqlite3_stmt* statement, const std::vector<Value>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string name = fmt::format("${}", i + 1);
    const int index = sqlite3_bind_parameter_index(statement, name.c_str());
    if (index == 0) return Error::internal("database: no parameter " + name);
    const Value& value = values[i];
    int bound = SQLITE_OK;
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      bound = sqlite3_bind_int64(statement, index, *integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      bound = sqlite3_bind_double(statement, index, *real);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      bound = sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT,
                                  SQLITE_UTF8);
    } else {
      bound = sqlite3_bind_null(statement, index);
    }
    if (bound != SQLITE_OK) return last_error("cannot bind " + name);
  }
  return {};
}

Result<std::vector<Row>> SqliteConnection::query(std::string_view sql, std::vector<Value> values) {
  TRY(sqlite3_stmt * statement, prepare(sql));
  // The statement must not stay open: an unfinished one would hold the transaction.
  struct Reset {
    sqlite3_stmt* statement;
    ~Reset() {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
  } const reset{statement};
  TRY_DO(bind(statement, values));
  std::vector<Row> rows;
  const int columns = sqlite3_column_count(statement);
  while (true) {
    const int step = sqlite3_step(statement);
    if (step == SQLITE_DONE) return rows;
    if (step != SQLITE_ROW) return last_error(sql);
    std::vector<Value> row;
    row.reserve(static_cast<size_t>(columns));
    for (int column = 0; column < columns; ++column) {
      row.push_back(column_value(statement, column));
    }
    rows.emplace_back(std::move(row));
  }
}

Result<int64_t> SqliteConnection::execute(std::string_view sql, std::vector<Value> values) {
  const int before = sqlite3_total_changes(connection_.get());
  TRY(const auto rows, query(sql, std::move(values)));
  return sqlite3_total_changes(connection_.get()) - before;
}

Result<> SqliteConnection::run_script(std::string_view sql) {
  const std::string text(sql);
  if (sqlite3_exec(connection_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return last_error(sql.substr(0, 200));
  }
  return {};
}

Result<> SqliteConnection::migrate(std::span<const Migration> migrations) {
  TRY_DO(run_script("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"));
  TRY(const auto rows, query("SELECT COALESCE(MAX(version), 0) FROM schema_version"));
  const int64_t current = rows[0].integer(0);
  const int64_t newest = migrations.empty() ? 0 : migrations.back().version;
  if (current > newest) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("the database has schema {} and this version knows {}: it was written "
                             "by a newer mesclun",
                             current, newest)};
  }
  for (const Migration& migration : migrations) {
    if (migration.version <= current) continue;
    const Result<> done = run_script(
        fmt::format("BEGIN IMMEDIATE; {}; INSERT INTO schema_version (version) VALUES ({}); COMMIT",
                    migration.sql, migration.version));
    if (!done) {
      if (in_transaction()) std::ignore = run_script("ROLLBACK");
      return done;
    }
  }
  return {};
}

Result<> SqliteConnection::run_body(const Body& body) {
  TRY_DO(run_script("SAVEPOINT one"));
  const Result<> done = body(*this);
  if (done) return run_script("RELEASE one");
  if (in_transaction()) TRY_DO(run_script("ROLLBACK TO one; RELEASE one"));
  return done;
}

std::vector<Result<>> SqliteConnection::run_group(std::span<const Body> bodies) {
  std::vector<Result<>> results(bodies.size());
  const auto fail_from = [&](size_t first, const Error& error) {
    for (size_t i = first; i < results.size(); ++i) results[i] = error;
  };
  // Those before had succeeded inside a transaction that is no more.
  const auto fail_successes = [&](size_t end, const Error& error) {
    for (size_t i = 0; i < end; ++i) {
      if (results[i]) results[i] = error;
    }
  };
  if (const Result<> begun = run_script("BEGIN IMMEDIATE"); !begun) {
    fail_from(0, begun.error());
    return results;
  }
  for (size_t i = 0; i < bodies.size(); ++i) {
    results[i] = run_body(bodies[i]);
    if (in_transaction()) continue;
    const Error lost =
        results[i] ? Error::unavailable("database: the transaction was ended") : results[i].error();
    fail_successes(i, lost);
    fail_from(i, lost);
    return results;
  }
  if (const Result<> committed = run_script("COMMIT"); !committed) {
    if (in_transaction()) std::ignore = run_script("ROLLBACK");
    Error error = committed.error();
    error.code = ErrorCode::Unavailable;
    fail_successes(results.size(), error);
  }
  return results;
}

Result<> SqliteConnection::run_read(const Body& body) {
  TRY_DO(run_script("BEGIN"));
  const Result<> done = body(*this);
  if (in_transaction()) std::ignore = run_script("ROLLBACK");
  return done;
}

}  // namespace mesclun::store
