#include "cloud/log_search.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000'000;

class LogSearchTest : public testing::Test {
 protected:
  // One line a second of instance `i`, from `first` on.
  void write(const std::string& organization, int64_t first, std::vector<std::string> texts) {
    store::Body body = [&](store::Transaction& tx) -> Result<> {
      OwnedLines lines{"m", {organization, "shop", "web"}, {.group_id = "g", .instance_id = "i"}};
      for (std::string& text : texts) {
        lines.batch.lines.push_back({first * kSecond, "stdout", std::move(text)});
        ++first;
      }
      return insert_lines(tx, lines, 1'000'000 * kSecond, 10'000'000 * kSecond);
    };
    loop_.run(database_->write(std::move(body)));
  }
  static std::vector<std::string> numbers(int count) {
    std::vector<std::string> texts;
    for (int i = 0; i < count; ++i) texts.push_back(std::to_string(i));
    return texts;
  }
  LogPage search(LogRange range, std::string_view query, size_t page_size = 100,
                 LogSearchSettings settings = {}) {
    LogPage page;
    LogSearch search{std::move(range), LogQuery::parse(query).value(), page_size};
    loop_.run(keep(std::move(search), settings, page));
    return page;
  }
  Task<Result<>> keep(LogSearch search, LogSearchSettings settings, LogPage& page) {
    CO_TRY(page, co_await search_log(*database_, loop_.clock, std::move(search), settings));
    co_return Result<>();
  }
  static LogRange range(int64_t start, int64_t end, bool descending = true) {
    return {"o", start * kSecond, end * kSecond, descending};
  }
  static std::vector<std::string> texts(const LogPage& page) {
    std::vector<std::string> out;
    for (const LogEntry& entry : page.entries) out.push_back(entry.text_log);
    return out;
  }

  VirtualLoop loop_;
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, log_migrations()).value();
};

TEST_F(LogSearchTest, StartIsInAndEndIsOut) {
  write("o", 100, numbers(5));
  EXPECT_THAT(texts(search(range(101, 103), "")), ElementsAre("2", "1"));
  EXPECT_THAT(texts(search(range(101, 103, false), "")), ElementsAre("1", "2"));
}

TEST_F(LogSearchTest, AnEmptyPageHasTheBoundsOfTheQuestion) {
  const LogPage page = search(range(101, 103), "");
  EXPECT_EQ(page.min_time, 101 * kSecond);
  EXPECT_EQ(page.max_time, 103 * kSecond);
  EXPECT_TRUE(page.whole);
}

TEST_F(LogSearchTest, AnotherOrganizationsEntriesAreNotFound) {
  write("other", 100, numbers(5));
  EXPECT_THAT(search(range(0, 1000), "").entries, IsEmpty());
}

TEST_F(LogSearchTest, EntriesHaveTheLabelsOfTheirRunAndGroup) {
  write("o", 100, {R"({"severity":"error","msg":"x"})"});
  const LogPage page = search(range(0, 1000), "severity >= warning");
  ASSERT_EQ(page.entries.size(), 1u);
  const LogEntry& entry = page.entries[0];
  EXPECT_EQ(entry.resource_type, "container");
  EXPECT_EQ(entry.labels.at("project_name"), "shop");
  EXPECT_EQ(entry.labels.at("container_group_name"), "web");
  EXPECT_EQ(entry.labels.at("container_group_version"), "1");
  EXPECT_EQ(entry.labels.at("instance_id"), "i");
  EXPECT_EQ(entry.labels.at("machine_id"), "m");
  EXPECT_EQ(entry.time, 100 * kSecond);
  EXPECT_EQ(entry.receive_time, 1'000'000 * kSecond);
}

// As a client pages, over lines of which many had the same time: every entry, once.
TEST_F(LogSearchTest, PagesLoseAndDoubleNothing) {
  store::Body body = [&](store::Transaction& tx) -> Result<> {
    for (int i = 0; i < 10; ++i) {
      OwnedLines lines{"m", {"o", "shop", "web"}, {.group_id = "g", .instance_id = "i"}};
      for (int j = 0; j < 25; ++j) {
        lines.batch.lines.push_back({100 * kSecond, "stdout", fmt::format("{}", i * 25 + j)});
      }
      TRY_DO(insert_lines(tx, lines, 1'000'000 * kSecond, 10'000'000 * kSecond));
    }
    return {};
  };
  loop_.run(database_->write(std::move(body)));
  // A slice as small as this ends within pages, too.
  const LogSearchSettings settings{.slice_entries = 3};
  for (const bool descending : {true, false}) {
    LogRange rest = range(0, 1000, descending);
    std::vector<std::string> all;
    for (int pages = 0; pages < 100; ++pages) {
      const LogPage page = search(rest, "log !contains 7", 10, settings);
      if (page.entries.empty()) break;
      for (const std::string& text : texts(page)) all.push_back(text);
      (descending ? rest.end : rest.start) = descending ? page.min_time : page.max_time;
    }
    const std::set<std::string> once(all.begin(), all.end());
    EXPECT_EQ(all.size(), once.size());
    size_t wanted = 0;
    for (int i = 0; i < 250; ++i) wanted += std::to_string(i).contains('7') ? 0 : 1;
    EXPECT_EQ(all.size(), wanted) << descending;
  }
}

TEST_F(LogSearchTest, ALongSearchEndsWithWhatWasFoundAndWhereItWas) {
  write("o", 100, numbers(100));
  LogPage page = search(range(0, 1000), "text_log = 98 or text_log = 1", 100,
                        {.time_max = Duration{}, .slice_entries = 10});
  EXPECT_THAT(texts(page), ElementsAre("98"));
  EXPECT_FALSE(page.whole);
  EXPECT_EQ(page.min_time, 190 * kSecond);
  page = search(range(0, 1000, false), "text_log = 98", 100,
                {.time_max = Duration{}, .slice_entries = 10});
  EXPECT_THAT(page.entries, IsEmpty());
  EXPECT_FALSE(page.whole);
  EXPECT_EQ(page.max_time, 109 * kSecond + kLogTick);
  EXPECT_EQ(page.looked_at, 10);
}

TEST_F(LogSearchTest, AnExpensiveQueryLooksAtLessInOneTurn) {
  write("o", 100, std::vector<std::string>(100, std::string(1'000, 'x')));
  const LogPage page =
      search(range(0, 1000), "log contains y", 100, {.time_max = Duration{}, .slice_work = 20'000});
  EXPECT_LT(page.looked_at, 20);
}

TEST_F(LogSearchTest, QuestionsUseTheIndexInItsOrder) {
  for (const char* order : {"DESC", "ASC"}) {
    std::string plan;
    store::Body body = [&](store::Transaction& tx) -> Result<> {
      TRY(const auto rows,
          tx.query(
              fmt::format("EXPLAIN QUERY PLAN SELECT l.text, g.group_name FROM log_line l LEFT "
                          "JOIN log_group g ON g.group_id = l.group_id WHERE "
                          "l.organization_id = 'o' AND l.time >= 1 AND l.time < 9 ORDER BY "
                          "l.time {} LIMIT 5",
                          order)));
      for (const store::Row& row : rows) plan += row.text(3) + "\n";
      return {};
    };
    loop_.run(database_->read(std::move(body)));
    EXPECT_THAT(plan, testing::HasSubstr("log_line_by_time"));
    EXPECT_THAT(plan, testing::Not(testing::HasSubstr("SCAN")));
    EXPECT_THAT(plan, testing::Not(testing::HasSubstr("TEMP")));
  }
}

}  // namespace
}  // namespace mesclun::cloud
