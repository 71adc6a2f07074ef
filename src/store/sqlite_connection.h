// One SQLite connection: statements, values, errors. Not thread-safe: one thread at a time.
#pragma once

#include <sqlite3.h>

#include <map>

#include "store/database.h"

namespace mesclun::store {

class SqliteConnection final : public Transaction {
 public:
  // A writer may change the file, a reader may not.
  enum class Role { Writer, Reader };
  static Result<std::unique_ptr<SqliteConnection>> open(const SqliteSettings& settings, Role role);

  Result<std::vector<Row>> query(std::string_view sql, std::vector<Value> values = {}) override;
  Result<int64_t> execute(std::string_view sql, std::vector<Value> values = {}) override;

  // Several statements at once, without parameters.
  Result<> run_script(std::string_view sql);
  Result<> migrate(std::span<const Migration> migrations);

  // Runs the bodies in one transaction, each in a savepoint of its own. The result has one entry a
  // body: its own error, or the failure of the commit.
  std::vector<Result<>> run_group(std::span<const Body> bodies);
  Result<> run_read(const Body& body);

 private:
  struct CloseConnection {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  Error last_error(std::string_view doing) const;
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  Result<> bind(sqlite3_stmt* statement, const std::vector<Value>& values);
  Result<> run_body(const Body& body);
  // SQLite ends a transaction by itself after some errors, such as a full disk.
  bool in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

  std::unique_ptr<sqlite3, CloseConnection> connection_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, FinalizeStatement>, std::less<>> statements_;
};

}  // namespace mesclun::store
