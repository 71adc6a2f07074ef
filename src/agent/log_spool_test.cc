#include "agent/log_spool.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"
#include "base/test_folder.h"

namespace mesclun::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

link::LogBatch batch_of(std::string instance, std::vector<std::string> texts) {
  link::LogBatch batch{.group_id = "g", .instance_id = std::move(instance), .version = 3};
  for (std::string& text : texts) batch.lines.push_back({7, "stdout", std::move(text)});
  return batch;
}

std::vector<std::string> say(LogSpool& spool) {
  std::vector<std::string> out;
  while (const auto batch = spool.next()) {
    for (const link::LogLine& line : batch->lines) out.push_back(line.text);
  }
  return out;
}

// Over both kinds of segments.
class LogSpoolTest : public testing::TestWithParam<bool> {
 protected:
  TestFolder folder_;
  std::unique_ptr<LogSegments> segments_ =
      GetParam() ? std::unique_ptr<LogSegments>(FileLogSegments::open(folder_.path("logs")).value())
                 : std::make_unique<MemoryLogSegments>();
  std::unique_ptr<LogSpool> spool_;

  // A process that begins over what the one before left.
  LogSpool& open(int64_t first = 1, size_t bytes_max = 1 << 20) {
    spool_ = std::make_unique<LogSpool>(*segments_, bytes_max);
    spool_->load(first);
    return *spool_;
  }
};
INSTANTIATE_TEST_SUITE_P(Segments, LogSpoolTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Files" : "Memory"; });

TEST_P(LogSpoolTest, WhatIsNotAcknowledgedIsSaidAgain) {
  LogSpool& spool = open();
  for (const char* text : {"1", "2", "3", "4"}) spool.append(batch_of("i", {text}));
  spool.begin(0);
  EXPECT_THAT(say(spool), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(say(spool), IsEmpty());
  spool.acknowledge(2);
  spool.append(batch_of("i", {"5"}));
  EXPECT_THAT(say(spool), ElementsAre("5"));
  spool.rewind();
  EXPECT_THAT(say(spool), ElementsAre("3", "4", "5"));
  spool.begin(4);
  const auto batch = spool.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->sequence, 5);
  EXPECT_EQ(batch->after, 4);
  EXPECT_EQ(batch->version, 3);
  spool.acknowledge(5);
  EXPECT_EQ(spool.waiting_bytes(), 0u);
  EXPECT_EQ(spool.unsaid_bytes(), 0u);
}

TEST_P(LogSpoolTest, ALaterProcessGoesOnWhereTheKilledOneWas) {
  LogSpool* spool = &open();
  spool->append(batch_of("i", {"1", "2"}));
  spool->append(batch_of("j", {"3"}));
  spool = &open(1'000);
  EXPECT_EQ(spool->take_last_line("i")->text, "2");
  EXPECT_FALSE(spool->take_last_line("i")) << "once";
  EXPECT_FALSE(spool->take_last_line("k"));
  spool->append(batch_of("i", {"4"}));
  spool->begin(1);
  auto batch = spool->next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->lines[0].text, "3");
  batch = spool->next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->sequence, 1'000);
  EXPECT_EQ(batch->after, 2);
  spool->acknowledge(1'000);
  open();
  spool_->begin(1'000);
  EXPECT_THAT(say(*spool_), IsEmpty());
  spool_->append(batch_of("i", {"5"}));
  EXPECT_EQ(spool_->next()->sequence, 1'001);
}

TEST_P(LogSpoolTest, ARecordThatAKillCutInTwoIsSkipped) {
  open().append(batch_of("i", {"1"}));
  EXPECT_TRUE(segments_->append(segments_->list().back(), "2 1 i {\"group_id\":\"g"));
  LogSpool& spool = open();
  spool.append(batch_of("i", {"2"}));
  spool.begin(0);
  EXPECT_THAT(say(spool), ElementsAre("1", "2"));
}

TEST_P(LogSpoolTest, BeyondItsBoundTheOldestGoAndALineCountsThem) {
  LogSpool& spool = open(1, 64 * 1024);
  const std::string filler(900, 'x');
  for (int i = 0; i < 500; ++i) spool.append(batch_of("i", {fmt::format("{} {}", i, filler)}));
  EXPECT_LE(spool.bytes(), 64u * 1024);
  spool.begin(0);
  int64_t missing = 0;
  int64_t kept = 0;
  for (const std::string& text : say(spool)) {
    int count = 0;
    if (std::sscanf(text.c_str(), "mesclun: %d lines are missing here", &count) == 1) {
      missing += count;
    } else {
      ++kept;
    }
  }
  EXPECT_GT(kept, 30);
  // Lines that say so were dropped themselves, with what they told of.
  EXPECT_EQ(missing + kept, 500);
  EXPECT_EQ(spool.lost() + kept, 500);
}

TEST_P(LogSpoolTest, WhatIsAcknowledgedTakesNoRoom) {
  LogSpool& spool = open(1, 1 << 20);
  spool.begin(0);
  const std::string filler(10'000, 'x');
  for (int i = 1; i <= 1'000; ++i) {
    spool.append(batch_of("i", {filler}));
    ASSERT_TRUE(spool.next());
    spool.acknowledge(i);
  }
  EXPECT_EQ(spool.lost(), 0);
  EXPECT_LT(spool.bytes(), 300'000u);
  EXPECT_LE(segments_->list().size(), 1u);
}

TEST_P(LogSpoolTest, ACloudThatForgotLinesGetsWhatThereIs) {
  LogSpool& spool = open();
  for (const char* text : {"1", "2", "3"}) spool.append(batch_of("i", {text}));
  spool.begin(0);
  say(spool);
  spool.acknowledge(2);
  spool.begin(1);
  const auto batch = spool.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->after, batch->sequence - 1) << "still there: a small segment stays";
  spool.begin(100);
  spool.append(batch_of("i", {"4"}));
  EXPECT_EQ(spool.next()->sequence, 101) << "numbers that were used are not used again";
}

TEST_P(LogSpoolTest, ACloudThatAcknowledgesNothingIsSaidEachLineOnce) {
  LogSpool& spool = open();
  spool.append(batch_of("i", {"1"}));
  spool.begin(std::nullopt);
  EXPECT_THAT(say(spool), ElementsAre("1"));
  EXPECT_EQ(spool.waiting_bytes(), 0u);
  spool.begin(std::nullopt);
  EXPECT_THAT(say(spool), IsEmpty());
}

TEST(LogSpool, WhatAFullDiskRefusesIsCountedAndSaidLater) {
  MemoryLogSegments segments;
  LogSpool spool(segments, 1 << 20);
  spool.load(1);
  spool.append(batch_of("i", {"1"}));
  segments.full = true;
  spool.append(batch_of("i", {"2", "3"}));
  spool.append(batch_of("i", {"4"}));
  segments.full = false;
  spool.append(batch_of("i", {"5"}));
  spool.begin(0);
  EXPECT_THAT(say(spool),
              ElementsAre("1", HasSubstr("3 lines are missing here: the disk is full"), "5"));
  EXPECT_EQ(spool.lost(), 3);
}

class LogShipperTest : public testing::Test {
 protected:
  TestNode node;
  MemoryLogSegments segments;

  void begin(runtime::FakeRun behaviour = {}, std::string_view spec = "{}") {
    node.log_segments = &segments;
    node.driver.set_script([behaviour](const runtime::RunSpec&, Random&) { return behaviour; });
    node.cloud.assign("a", test_spec(spec));
    node.start();
    ASSERT_TRUE(node.until([&] { return node.report().started; }));
  }
  void write(const std::string& text) { node.driver.write_log("instance-of-a", "stdout", text); }
  bool stored_come_to(size_t lines) {
    return node.until([&] { return stored().size() >= lines; });
  }
  std::vector<std::string> stored() const {
    std::vector<std::string> out;
    for (const link::LogBatch& batch : node.cloud.logs) {
      for (const link::LogLine& line : batch.lines) out.push_back(line.text);
    }
    return out;
  }
};

TEST_F(LogShipperTest, LinesOfABrokenSessionAreSaidAgainAndStoredOnce) {
  begin();
  write("1");
  ASSERT_TRUE(stored_come_to(1));
  node.cloud.stores_logs = false;
  write("2");
  ASSERT_TRUE(node.until([&] { return node.cloud.log_batches == 2; }));
  node.cloud.stores_logs = true;
  node.cloud.hang_up();
  write("3");
  ASSERT_TRUE(stored_come_to(3));
  node.cloud.hang_up();
  node.run_for(30s);
  EXPECT_THAT(stored(), ElementsAre("1", "2", "3"));
}

TEST_F(LogShipperTest, WhatACloudDidNotTakeIsSaidAgainInTheSameSession) {
  begin();
  node.cloud.stores_logs = false;
  write("1");
  ASSERT_TRUE(node.until([&] { return node.cloud.log_batches == 1; }));
  node.cloud.stores_logs = true;
  const int sessions = node.cloud.sessions;
  ASSERT_TRUE(stored_come_to(1));
  EXPECT_EQ(node.cloud.sessions, sessions);
}

TEST_F(LogShipperTest, LinesOfARunThatEndedWhileTheCloudWasAwaySurviveAKill) {
  begin({.exit_after = 10s, .output = {"first"}}, R"({"restart_policy": "never"})");
  ASSERT_TRUE(stored_come_to(1));
  node.cloud.down = true;
  node.cloud.hang_up();
  node.run_for(1s);
  write("last");
  node.run_for(30s);
  EXPECT_EQ(node.driver.live().size(), 0u);
  node.kill();
  node.cloud.down = false;
  node.start();
  ASSERT_TRUE(stored_come_to(2));
  EXPECT_THAT(stored(), ElementsAre("first", "last"));
}

TEST_F(LogShipperTest, ALoudRunIsHeldBackAndNeverSilencesAnother) {
  node.settings.logs.spool_bytes_max = 256 * 1024;
  node.cloud.assign("b", test_spec("{}"));
  begin();
  node.cloud.stores_logs = false;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 1'000; ++i) write(std::string(500, 'x'));
    node.run_for(200ms);
  }
  node.driver.write_log("instance-of-b", "stdout", "quiet");
  EXPECT_LE(node.agent->logs().spool().bytes(), 2u * 1024 * 1024);
  node.cloud.stores_logs = true;
  EXPECT_TRUE(node.until([&] { return std::ranges::count(stored(), "quiet") == 1; }));
}

}  // namespace
}  // namespace mesclun::agent
