#include "agent/event_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mesclun::agent {
namespace {

link::InstanceEvent event(std::string name) {
  link::InstanceEvent out;
  out.name = std::move(name);
  return out;
}

std::vector<int64_t> sequences(const EventJournal& journal, int64_t after = 0) {
  std::vector<int64_t> out;
  for (const auto& e : journal.after(after)) out.push_back(e.sequence);
  return out;
}

TEST(EventJournal, NumbersFromOneAndKeepsUntilAcknowledged) {
  MemoryStateStore store;
  EventJournal journal(store);
  for (int i = 0; i < 4; ++i) journal.append(event("x"));
  EXPECT_THAT(sequences(journal), testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(sequences(journal, 2), testing::ElementsAre(3, 4));
  journal.acknowledge(3);
  EXPECT_THAT(sequences(journal), testing::ElementsAre(4));
  journal.acknowledge(1);  // late and low: nothing changes
  EXPECT_THAT(sequences(journal), testing::ElementsAre(4));
}

TEST(EventJournal, SequencesGoOnAfterARestart) {
  MemoryStateStore store;
  {
    EventJournal journal(store);
    journal.append(event("a"));
    journal.append(event("b"));
    journal.acknowledge(2);
  }
  const StoredState state = *store.load();
  EventJournal journal(store);
  journal.load(state.events, state.next_sequence);
  EXPECT_EQ(journal.size(), 0u);
  journal.append(event("c"));
  EXPECT_THAT(sequences(journal), testing::ElementsAre(3));
}

TEST(EventJournal, UnacknowledgedEventsSurviveARestart) {
  MemoryStateStore store;
  {
    EventJournal journal(store);
    for (int i = 0; i < 3; ++i) journal.append(event("a"));
    journal.acknowledge(1);
  }
  const StoredState state = *store.load();
  EventJournal journal(store);
  journal.load(state.events, state.next_sequence);
  // The store may still have the acknowledged one; the cloud says so again in its welcome.
  journal.acknowledge(1);
  EXPECT_THAT(sequences(journal), testing::ElementsAre(2, 3));
}

TEST(EventJournal, KeepsAThousandAndDropsTheOldest) {
  MemoryStateStore store;
  EventJournal journal(store);
  for (size_t i = 0; i < kEventsMax + 5; ++i) journal.append(event("x"));
  EXPECT_EQ(journal.size(), kEventsMax);
  EXPECT_EQ(journal.dropped(), 5u);
  EXPECT_EQ(sequences(journal).front(), 6);
}

TEST(EventJournal, TheStoreStaysBoundedToo) {
  MemoryStateStore store;
  EventJournal journal(store);
  for (size_t i = 0; i < 10 * kEventsMax; ++i) journal.append(event("x"));
  EXPECT_LE(store.load()->events.size(), 2 * kEventsMax);
}

TEST(EventJournal, NumbersThatTheCloudHasSeenAreNotUsedAgain) {
  MemoryStateStore store;
  EventJournal journal(store);  // its file was lost with the power
  journal.acknowledge(41);
  journal.append(event("x"));
  EXPECT_THAT(sequences(journal), testing::ElementsAre(42));
}

TEST(EventJournal, AStartHasARangeOfItsOwnSoThatNothingNewIsTakenForSaid) {
  MemoryStateStore store;
  EventJournal journal(store);
  journal.load({}, 1, 1001);  // its file was lost with the power
  EXPECT_EQ(journal.last_loaded(), 0);
  journal.append(event("gone when the agent came back"));
  journal.acknowledge(41);  // of the events that were lost, in the first welcome
  EXPECT_THAT(sequences(journal), testing::ElementsAre(1001));
}

TEST(EventJournal, AFullDiskLosesNoEventOfThisProcess) {
  MemoryStateStore store;
  EventJournal journal(store);
  store.broken = true;
  journal.append(event("x"));
  EXPECT_EQ(journal.size(), 1u);
}

}  // namespace
}  // namespace mesclun::agent
