#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/test_folder.h"
#include "base/test_loop.h"
#include "store/sqlite_connection.h"

namespace mesclun::store {
namespace {

constexpr Migration kMigrations[] = {
    {1, "CREATE TABLE item (name TEXT PRIMARY KEY, number BIGINT NOT NULL)"}};

class StoreTest : public testing::Test {
 protected:
  StoreTest() { settings_.path = folder_.path("test.db"); }
  std::unique_ptr<Database> open() { return open_sqlite(settings_, kMigrations).value(); }

  const TestFolder folder_;
  SqliteSettings settings_;
  RealLoop loop_;
};

Body insert(std::string name, int64_t number) {
  return [name, number](Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("INSERT INTO item (name, number) VALUES ($1, $2)", {name, number}));
    return {};
  };
}

Task<Result<int64_t>> count(Database& database) {
  int64_t rows = 0;
  Body body = [&rows](Transaction& tx) -> Result<> {
    TRY(const auto found, tx.query("SELECT COUNT(*) FROM item"));
    rows = found[0].integer(0);
    return {};
  };
  CO_TRY_DO(co_await database.read(std::move(body)));
  co_return rows;
}

Task<Result<>> writes_then_reads(Database& database) {
  CO_TRY_DO(co_await database.write(insert("a", 1)));
  const auto twice = co_await database.write(insert("a", 2));
  EXPECT_EQ(twice.code(), ErrorCode::AlreadyExists);
  CO_TRY(const int64_t rows, co_await count(database));
  EXPECT_EQ(rows, 1);
  co_return Result<>();
}

TEST_F(StoreTest, ReadsSeeWhatWasAnsweredAndUniqueNamesHold) {
  const auto database = open();
  loop_.run(writes_then_reads(*database));
}

mode_t mode_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

// With whatever umask: its owner's alone, and so is what an earlier process left open to all.
TEST_F(StoreTest, DatabasesAreForTheirOwnerOnly) {
  const mode_t umask_before = ::umask(0);
  const auto database = open();
  loop_.run(writes_then_reads(*database));
  // What a killed process leaves.
  SqliteSettings left{.path = folder_.path("left.db")};
  for (const char* suffix : {"", "-wal", "-shm"}) {
    EXPECT_EQ(mode_of(settings_.path + suffix), 0600u) << suffix;
    std::filesystem::copy_file(settings_.path + suffix, left.path + suffix);
    ASSERT_EQ(::chmod((left.path + suffix).c_str(), 0644), 0);
  }
  const auto opened_again = open_sqlite(left, kMigrations).value();
  for (const char* suffix : {"", "-wal", "-shm"}) {
    EXPECT_EQ(mode_of(left.path + suffix), 0600u) << suffix;
  }
  ::umask(umask_before);
}

TEST_F(StoreTest, TheSameInMemoryWithoutThreads) {
  settings_.path.clear();
  const auto database = open();
  VirtualLoop loop;
  loop.run(writes_then_reads(*database));
}

Task<Result<>> one_write(Database& database, std::string name, int& failures) {
  if (!co_await database.write(insert(std::move(name), 0))) ++failures;
  co_return Result<>();
}

Task<Result<>> many_writers(RealLoop& loop, Database& database) {
  Scope scope(loop.executor(), "writers");
  int failures = 0;
  for (int i = 0; i < 1000; ++i) {
    // Every tenth name repeats, and only those must fail.
    scope.spawn(one_write(database, std::to_string(i % 10 == 9 ? i - 1 : i), failures));
  }
  co_await scope.drain();
  EXPECT_EQ(failures, 100);
  CO_TRY(const int64_t rows, co_await count(database));
  EXPECT_EQ(rows, 900);
  co_return Result<>();
}

TEST_F(StoreTest, AFailedBodyUndoesOnlyItselfAmongThoseThatShareItsCommit) {
  const auto database = open();
  loop_.run(many_writers(loop_, *database));
}

Task<Result<>> many_fail_when_too_many_wait(RealLoop& loop, Database& database) {
  Scope scope(loop.executor(), "writers");
  int failures = 0;
  for (int i = 0; i < 2000; ++i) scope.spawn(one_write(database, std::to_string(i), failures));
  co_await scope.drain();
  CO_TRY(const int64_t rows, co_await count(database));
  EXPECT_EQ(rows + failures, 2000) << "each call is either stored or refused";
  co_return Result<>();
}

TEST_F(StoreTest, WhatIsOverTheBoundIsRefusedAndNothingElse) {
  settings_.waiting_max = 4;
  const auto database = open();
  loop_.run(many_fail_when_too_many_wait(loop_, *database));
}

Task<Result<>> fill(Database& database, int& stored) {
  const std::string large(3000, 'x');
  for (int i = 0; i < 200; ++i) {
    const auto written = co_await database.write(insert(large + std::to_string(i), i));
    if (!written) {
      EXPECT_EQ(written.code(), ErrorCode::Unavailable) << written.error().message;
      EXPECT_NE(written.error().message.find("full"), std::string::npos) << written.error().message;
      co_return Result<>();
    }
    ++stored;
  }
  ADD_FAILURE() << "the disk never filled";
  co_return Result<>();
}

Task<Result<>> check_count(Database& database, int64_t expected) {
  CO_TRY(const int64_t rows, co_await count(database));
  EXPECT_EQ(rows, expected);
  CO_TRY_DO(co_await database.write(insert("after", 1)));
  co_return Result<>();
}

TEST_F(StoreTest, AFullDiskIsAClearErrorAndItRecovers) {
  int stored = 0;
  settings_.pages_max = 40;
  {
    const auto database = open();
    loop_.run(fill(*database, stored));
  }
  settings_.pages_max = 4000;
  const auto database = open();
  loop_.run(check_count(*database, stored));
}

Task<Result<>> locked_then_free(Database& database, SqliteConnection& other) {
  CO_TRY_DO(other.run_script("BEGIN EXCLUSIVE"));
  const auto refused = co_await database.write(insert("a", 1));
  EXPECT_EQ(refused.code(), ErrorCode::Unavailable);
  EXPECT_NE(refused.error().message.find("locked"), std::string::npos) << refused.error().message;
  CO_TRY_DO(other.run_script("ROLLBACK"));
  co_return co_await database.write(insert("a", 1));
}

TEST_F(StoreTest, ALockedDatabaseIsAClearErrorAndItRecovers) {
  settings_.busy_timeout = 50ms;
  const auto database = open();
  const auto other = SqliteConnection::open(settings_, SqliteConnection::Role::Writer).value();
  loop_.run(locked_then_free(*database, *other));
}

TEST_F(StoreTest, AFileOfANewerVersionIsRefused) {
  {
    const auto database = open();
  }
  const auto older = open_sqlite(settings_, {});
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, ErrorCode::FailedPrecondition);
}

// Writes numbers for ever and says each on the pipe once it was answered.
[[noreturn]] void write_until_killed(const SqliteSettings& settings, int64_t first, int pipe) {
  const auto database = open_sqlite(settings, kMigrations).value();
  asio::io_context io;
  Scope scope(io.get_executor(), "child");
  struct Writer {
    static Task<Result<>> run(Database& db, int64_t start, int64_t step, int out) {
      for (int64_t n = start;; n += step) {
        CO_TRY_DO(co_await db.write(insert(std::to_string(n), n)));
        if (::write(out, &n, sizeof n) != sizeof n) _exit(1);
      }
    }
  };
  // Eight at once, so that commits are shared.
  for (int64_t i = 0; i < 8; ++i) scope.spawn(Writer::run(*database, first + i, 8, pipe));
  io.run();
  _exit(1);
}

// Goal: nothing that was answered is lost. Method: a process is killed at ten arbitrary moments,
// and what it had said is looked for in the file.
TEST_F(StoreTest, AKillAtAnyMomentLosesNothingThatWasAnswered) {
  std::vector<int64_t> answered;
  for (int round = 0; round < 10; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) write_until_killed(settings_, int64_t{round} * 1'000'000, ends[1]);
    close(ends[1]);
    const int wanted = 1 + round * 37;
    int64_t n = 0;
    for (int i = 0; i < wanted && read(ends[0], &n, sizeof n) == sizeof n; ++i) {
      answered.push_back(n);
    }
    kill(child, SIGKILL);
    while (read(ends[0], &n, sizeof n) == sizeof n) answered.push_back(n);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself";
  }
  EXPECT_GT(answered.size(), 1000u);
  const auto reader = SqliteConnection::open(settings_, SqliteConnection::Role::Writer).value();
  for (int64_t n : answered) {
    const auto rows =
        reader->query("SELECT 1 FROM item WHERE number = $1 AND name = $2", {n, std::to_string(n)});
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->size(), 1u) << n << " was answered and is gone";
  }
}

}  // namespace
}  // namespace mesclun::store
