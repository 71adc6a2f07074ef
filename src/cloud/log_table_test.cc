#include "cloud/log_table.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LogTableTest : public testing::Test {
 protected:
  ~LogTableTest() override {
    scope_.cancel();
    loop_.clock.run_for(1s);
  }
  LogTable& open(LogTableSettings settings = {}) {
    table_ = std::make_unique<LogTable>(loop_.executor(), loop_.clock, *database_, settings);
    scope_.spawn(table_->run());
    return *table_;
  }
  static link::LogBatch batch(std::string group, int lines, std::string instance = "i",
                              size_t bytes = 10) {
    link::LogBatch out{.group_id = std::move(group), .instance_id = std::move(instance)};
    for (int i = 0; i < lines; ++i) out.lines.push_back({i, "stdout", std::string(bytes, 'x')});
    return out;
  }
  void say(const std::string& organization, const std::string& group, int lines) {
    table_->append("m", organization, batch(group, lines));
    loop_.clock.run_for(100ms);
  }
  std::vector<LogRow> read(const std::string& group, std::string instance = "",
                           std::optional<int64_t> after = {}, int64_t limit = 1000) {
    std::vector<LogRow> rows;
    loop_.run(keep(group, std::move(instance), after, limit, rows));
    return rows;
  }
  Task<Result<>> keep(std::string group, std::string instance, std::optional<int64_t> after,
                      int64_t limit, std::vector<LogRow>& rows) {
    CO_TRY(rows, co_await table_->read(group, std::move(instance), after, limit, Duration{}));
    co_return Result<>();
  }
  Task<Result<>> follow(std::string group, size_t& answers) {
    int64_t after = 0;
    while (true) {
      CO_TRY(const auto rows, co_await table_->read(group, "", after, 1000, 30s));
      if (!rows.empty()) after = rows.back().sequence, ++answers;
    }
  }

  VirtualLoop loop_;
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, log_migrations()).value();
  std::unique_ptr<LogTable> table_;
  Scope scope_{loop_.executor(), "test"};
};

TEST_F(LogTableTest, PagesGoForwardsFromASequenceAndBackwardsFromTheEnd) {
  open();
  table_->append("m", "o", batch("a", 5, "one"));
  table_->append("m", "o", batch("a", 5, "two"));
  table_->append("m", "o", batch("b", 5));
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("a").size(), 10u);
  const auto newest = read("a", "", {}, 3);
  ASSERT_EQ(newest.size(), 3u);
  EXPECT_EQ(newest[2].sequence, 10);
  EXPECT_EQ(read("a", "", 4, 3).front().sequence, 5);
  EXPECT_EQ(read("a", "one", 2).size(), 3u);
  EXPECT_EQ(read("a", "two", {}, 2).back().sequence, 10);
  EXPECT_THAT(read("a", "three"), IsEmpty());
}

// 40 who follow another group cost those of this one nothing: no question to the store.
TEST_F(LogTableTest, OnlyFollowersOfTheGroupAreWoken) {
  open();
  size_t of_busy = 0;
  size_t of_quiet = 0;
  for (int i = 0; i < 40; ++i) scope_.spawn(follow("quiet", of_quiet));
  scope_.spawn(follow("busy", of_busy));
  loop_.clock.run_for(10ms);
  const int64_t before = table_->reads();
  EXPECT_EQ(before, 41);
  for (int i = 0; i < 20; ++i) say("o", "busy", 3);
  EXPECT_EQ(of_busy, 20u);
  EXPECT_EQ(of_quiet, 0u);
  // One that brings the lines and one that finds none, each time.
  EXPECT_EQ(table_->reads() - before, 40);
  say("o", "quiet", 1);
  EXPECT_EQ(of_quiet, 40u);
}

TEST_F(LogTableTest, QuestionsUseAnIndexInItsOrder) {
  open();
  for (const char* sql :
       {"SELECT text FROM log_line WHERE group_id = 'a' AND sequence > 5 ORDER BY sequence",
        "SELECT text FROM log_line WHERE group_id = 'a' AND sequence > 5 AND instance_id = 'i' "
        "ORDER BY sequence DESC",
        "SELECT sequence FROM log_line WHERE organization_id = 'o' ORDER BY sequence LIMIT 9"}) {
    std::string plan;
    store::Body body = [&](store::Transaction& tx) -> Result<> {
      TRY(const auto rows, tx.query(std::string("EXPLAIN QUERY PLAN ") + sql));
      for (const store::Row& row : rows) plan += row.text(3) + "\n";
      return {};
    };
    loop_.run(database_->read(std::move(body)));
    EXPECT_THAT(plan, testing::HasSubstr("INDEX")) << sql;
    EXPECT_THAT(plan, testing::Not(testing::HasSubstr("SCAN"))) << sql;
    EXPECT_THAT(plan, testing::Not(testing::HasSubstr("TEMP"))) << sql;
  }
}

TEST_F(LogTableTest, AnOrganizationPushesOutItsOwnLinesOnly) {
  open({.lines_max = 1'000, .organization_lines_max = 100});
  say("small", "s", 20);
  for (int i = 0; i < 10; ++i) say("loud", "l", 50);
  EXPECT_EQ(read("s").size(), 20u);
  EXPECT_EQ(read("l").size(), 100u);
  EXPECT_EQ(read("l").back().sequence, 520);
}

TEST_F(LogTableTest, BeyondAllTheLargestGivesWay) {
  open({.lines_max = 100, .organization_lines_max = 90});
  say("small", "s", 20);
  say("loud", "l", 90);
  EXPECT_EQ(read("l").size(), 80u);
  say("middle", "m", 30);
  EXPECT_EQ(read("l").size(), 50u);
  EXPECT_EQ(read("s").size(), 20u);
  EXPECT_EQ(read("m").size(), 30u);
}

TEST_F(LogTableTest, OneOrganizationCannotFillTheQueueOfAll) {
  open({.waiting_lines_max = 100, .waiting_bytes_max = 4'000});
  for (int i = 0; i < 10; ++i) table_->append("m", "loud", batch("l", 10));
  table_->append("m", "heavy", batch("h", 1, "i", 2'000));
  table_->append("m", "small", batch("s", 5));
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("l").size(), 20u);
  EXPECT_THAT(read("h"), IsEmpty());
  EXPECT_EQ(read("s").size(), 5u);
  EXPECT_EQ(table_->lost(), 81);
}

TEST_F(LogTableTest, LinesAgeOut) {
  open({.retention = 1h});
  say("o", "a", 3);
  loop_.clock.run_for(2h);
  say("o", "a", 1);
  EXPECT_EQ(read("a").size(), 1u);
}

}  // namespace
}  // namespace mesclun::cloud
