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
  static LogOwner owner(const std::string& organization) { return {organization, "shop", "web"}; }
  static link::LogBatch batch(std::string group, int lines, std::string instance = "i",
                              size_t bytes = 10) {
    link::LogBatch out{.group_id = std::move(group), .instance_id = std::move(instance)};
    for (int i = 0; i < lines; ++i) out.lines.push_back({i, "stdout", std::string(bytes, 'x')});
    return out;
  }
  void say(const std::string& organization, const std::string& group, int lines) {
    table_->append("m", owner(organization), batch(group, lines));
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
    LogLines lines{
        .group_id = group, .instance_id = std::move(instance), .after = after, .limit = limit};
    CO_TRY(LogLinesPage page, co_await table_->read(std::move(lines), Duration{}));
    rows = std::move(page.rows);
    co_return Result<>();
  }
  Task<Result<>> keep_page(LogLines lines, LogLinesPage& page) {
    CO_TRY(page, co_await table_->read(std::move(lines), Duration{}));
    co_return Result<>();
  }
  Task<Result<>> follow(std::string group, size_t& answers) {
    int64_t after = 0;
    while (true) {
      LogLines lines{.group_id = group, .after = after, .limit = 1000};
      CO_TRY(const LogLinesPage page, co_await table_->read(std::move(lines), 30s));
      if (!page.rows.empty()) after = page.rows.back().sequence, ++answers;
    }
  }

  VirtualLoop loop_;
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, log_migrations()).value();
  std::unique_ptr<LogTable> table_;
  Scope scope_{loop_.executor(), "test"};
};

TEST_F(LogTableTest, PagesGoForwardsFromASequenceAndBackwardsFromTheEnd) {
  open();
  table_->append("m", owner("o"), batch("a", 5, "one"));
  table_->append("m", owner("o"), batch("a", 5, "two"));
  table_->append("m", owner("o"), batch("b", 5));
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
  for (int i = 0; i < 10; ++i) table_->append("m", owner("loud"), batch("l", 10));
  table_->append("m", owner("heavy"), batch("h", 1, "i", 2'000));
  table_->append("m", owner("small"), batch("s", 5));
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("l").size(), 20u);
  EXPECT_THAT(read("h"), IsEmpty());
  EXPECT_EQ(read("s").size(), 5u);
  EXPECT_EQ(table_->lost(), 81);
}

// What a node says again after a broken session, or because the queue was full, is stored once.
TEST_F(LogTableTest, ABatchIsStoredOnceHoweverOftenItComes) {
  LogTable& table = open({.waiting_lines_max = 100});
  std::vector<int64_t> told;
  LogTable::Listener listener;
  listener.acknowledge = [&](const std::string&, int64_t sequence) { told.push_back(sequence); };
  table.listen(std::move(listener));
  const auto say = [&](int64_t sequence, int64_t after, int lines) {
    link::LogBatch out = batch("a", lines);
    out.sequence = sequence;
    out.after = after;
    table.append("m", owner("o"), std::move(out));
  };
  say(5, 0, 20);
  say(5, 0, 20);
  say(6, 5, 20);  // finds no room
  say(7, 6, 1);   // so this one is not taken either
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("a").size(), 20u);
  EXPECT_THAT(told, ElementsAre(5));
  say(6, 5, 20);
  say(7, 6, 1);
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("a").size(), 41u);
  say(7, 5, 1);
  EXPECT_THAT(told, ElementsAre(5, 7, 7)) << "an acknowledgement that was lost is said again";
  say(8, 7, 30);  // never fits: the quarter of 100
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("a").size(), 41u);
  EXPECT_EQ(table.stored("m"), 8);
  EXPECT_EQ(table.lost(), 30);
  table.discard("m", {.group_id = "b", .sequence = 9, .after = 8});
  loop_.clock.run_for(1s);
  EXPECT_EQ(table.stored("m"), 9);
  // Another process over the same database knows it.
  LogTable again(loop_.executor(), loop_.clock, *database_, {});
  loop_.run(again.load());
  EXPECT_EQ(again.stored("m"), 9);
}

TEST_F(LogTableTest, NoTwoEntriesOfAnOrganizationHaveTheSameTime) {
  open();
  for (int i = 0; i < 20; ++i)
    table_->append("m", owner("o"), batch(fmt::format("g{}", i % 3), 50));
  loop_.clock.run_for(1s);
  store::Body body = [](store::Transaction& tx) -> Result<> {
    TRY(const auto rows,
        tx.query("SELECT COUNT(*), COUNT(DISTINCT time), MAX(time % 100) FROM log_line"));
    EXPECT_EQ(rows[0].integer(0), 1000);
    EXPECT_EQ(rows[0].integer(1), 1000);
    EXPECT_EQ(rows[0].integer(2), 0);
    return {};
  };
  loop_.run(database_->read(std::move(body)));
}

// Times that a node chose so that every step from the first one is taken.
TEST_F(LogTableTest, NoChoiceOfTimesKeepsALineOut) {
  open();
  loop_.clock.run_for(1h);
  link::LogBatch lines = batch("g", 0);
  for (int step = 0; step < 35; ++step) {
    lines.lines.push_back({1'000 + 100 * ((int64_t{1} << step) - 1), "stdout", "x"});
  }
  table_->append("m", owner("o"), lines);
  table_->append("m", owner("o"), batch("g", 1));
  lines.lines.resize(1);
  table_->append("m", owner("o"), lines);
  table_->append("m", owner("o"), lines);
  loop_.clock.run_for(1s);
  EXPECT_EQ(read("g").size(), 38u);
}

TEST(LogStore, ATimeThatCannotBeFoundBecomesThatOfReceipt) {
  EXPECT_EQ(entry_time(1'234'567, 2'000'000, 1'000'000), 1'234'500);
  EXPECT_EQ(entry_time(3'000'000, 2'000'099, 1'000'000), 2'000'000) << "of the future";
  EXPECT_EQ(entry_time(999'999, 2'000'000, 1'000'000), 2'000'000) << "beyond the retention";
}

TEST_F(LogTableTest, AQueryLeavesTheLinesThatMatchAndSaysHowFarItLooked) {
  open();
  link::LogBatch lines{.group_id = "a", .instance_id = "i"};
  for (int i = 0; i < 2'000; ++i) {
    lines.lines.push_back({i, "stdout", fmt::format("{} {}", i, i % 100 == 0 ? "rare" : "common")});
  }
  table_->append("m", owner("o"), std::move(lines));
  loop_.clock.run_for(1s);
  const auto ask = [&](std::optional<int64_t> after, int64_t limit, std::string_view query) {
    LogLines asked{.group_id = "a", .after = after, .limit = limit};
    asked.query = LogQuery::parse(query).value();
    LogLinesPage page;
    loop_.run(keep_page(std::move(asked), page));
    return page;
  };
  const LogLinesPage newest = ask({}, 3, "text_log endswith rare");
  ASSERT_EQ(newest.rows.size(), 3u);
  EXPECT_EQ(newest.rows[0].text, "1700 rare");
  EXPECT_EQ(newest.rows[2].text, "1900 rare");
  EXPECT_EQ(newest.looked_to, 2'000) << "to follow from there";
  const LogLinesPage first = ask(0, 5, "text_log endswith rare");
  ASSERT_EQ(first.rows.size(), 5u);
  EXPECT_EQ(first.looked_to, first.rows.back().sequence);
  const LogLinesPage rest = ask(first.looked_to, 100, "text_log endswith rare");
  EXPECT_EQ(rest.rows.size(), 15u);
  EXPECT_EQ(rest.looked_to, 2'000);
  EXPECT_THAT(ask({}, 3, "log contains nowhere").rows, IsEmpty());
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
