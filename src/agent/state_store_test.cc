#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "agent/file_state_store.h"
#include "base/test_folder.h"

namespace mesclun::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kId = "00000000-0000-4000-8000-000000000001";

class FileStateStoreTest : public testing::Test {
 protected:
  std::unique_ptr<FileStateStore> open() { return std::move(*FileStateStore::open(folder)); }
  static AllocationRecord record(const std::string& id) {
    AllocationRecord out;
    out.assignment.allocation_id = id;
    out.assignment.spec = {{"name", "x"}};
    out.status.instance_id = "run-1";
    out.status.run = 3;
    out.status.state = link::RunState::Running;
    out.action = SelfAction::Reallocate;
    out.quick_exits = {1, 2};
    return out;
  }

  const TestFolder made;
  const fs::path folder = made.path();
};

TEST_F(FileStateStoreTest, ANewFolderIsANewNode) {
  const StoredState state = *open()->load();
  EXPECT_TRUE(state.node.machine_id.empty());
  EXPECT_TRUE(state.allocations.empty());
  EXPECT_EQ(state.next_sequence, 1);
}

TEST_F(FileStateStoreTest, WhatWasSavedIsLoadedByTheNextAgent) {
  {
    auto store = open();
    NodeRecord node{.machine_id = "m", .node_secret = "s", .mode = link::NodeMode::Paused};
    ASSERT_TRUE(store->save_node(node));
    ASSERT_TRUE(store->save_allocation(record(kId), Durability::PowerLoss));
    link::InstanceEvent event{.sequence = 9};
    event.name = "Instance Running";
    ASSERT_TRUE(store->append_event(event));
  }
  const StoredState state = *open()->load();
  EXPECT_EQ(state.node.machine_id, "m");
  EXPECT_EQ(state.node.mode, link::NodeMode::Paused);
  ASSERT_EQ(state.allocations.size(), 1u);
  EXPECT_EQ(to_json_text(state.allocations[0]), to_json_text(record(kId)));
  ASSERT_EQ(state.events.size(), 1u);
  EXPECT_EQ(state.events[0].name, "Instance Running");
  EXPECT_EQ(state.next_sequence, 10);
}

TEST_F(FileStateStoreTest, ErasedAllocationsAndReplacedEventsAreGone) {
  auto store = open();
  ASSERT_TRUE(store->save_allocation(record(kId), Durability::ProcessCrash));
  ASSERT_TRUE(store->erase_allocation(kId));
  ASSERT_TRUE(store->append_event(link::InstanceEvent{.sequence = 1}));
  ASSERT_TRUE(store->replace_events({}, 2));
  ASSERT_TRUE(store->append_event(link::InstanceEvent{.sequence = 2}));
  const StoredState state = *open()->load();
  EXPECT_TRUE(state.allocations.empty());
  ASSERT_EQ(state.events.size(), 1u);
  EXPECT_EQ(state.events[0].sequence, 2);
  EXPECT_EQ(state.next_sequence, 3);
}

TEST_F(FileStateStoreTest, ATornAllocationIsSetAsideAndTheOthersStay) {
  auto store = open();
  const std::string other = "00000000-0000-4000-8000-000000000002";
  ASSERT_TRUE(store->save_allocation(record(kId), Durability::ProcessCrash));
  ASSERT_TRUE(store->save_allocation(record(other), Durability::ProcessCrash));
  std::ofstream(folder / "allocations" / (std::string(kId) + ".json")) << "{\"assignment\": {";
  const StoredState state = *open()->load();
  ASSERT_EQ(state.allocations.size(), 1u);
  EXPECT_EQ(state.allocations[0].assignment.allocation_id, other);
  EXPECT_TRUE(fs::exists(folder / "allocations" / (std::string(kId) + ".json.broken")));
}

TEST_F(FileStateStoreTest, ATornLastEventIsSkipped) {
  auto store = open();
  ASSERT_TRUE(store->append_event(link::InstanceEvent{.sequence = 1}));
  std::ofstream(folder / "events.jsonl", std::ios::app) << "{\"sequence\": 2, \"na";
  const StoredState state = *open()->load();
  EXPECT_EQ(state.events.size(), 1u);
}

TEST_F(FileStateStoreTest, ATornIdentityIsNotSilentlyReplaced) {
  std::ofstream(folder / "node.json") << "{";
  EXPECT_EQ(open()->load().code(), ErrorCode::FailedPrecondition);
}

TEST_F(FileStateStoreTest, AnAllocationIdIsNoPath) {
  auto store = open();
  EXPECT_FALSE(store->save_allocation(record("../../etc/x"), Durability::ProcessCrash));
}

TEST_F(FileStateStoreTest, AFolderThatCannotBeMadeIsSaid) {
  std::ofstream(folder / "file") << "x";
  const auto store = FileStateStore::open(folder / "file" / "data");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, testing::HasSubstr("file"));
}

TEST_F(FileStateStoreTest, WhatAKilledAgentWasWritingIsRemoved) {
  std::ignore = open();
  const fs::path drafts[] = {folder / "node.json.4711.new",
                             folder / "allocations" / fmt::format("{}.json.4711.new", kId)};
  for (const fs::path& draft : drafts) std::ofstream(draft) << "secret";
  EXPECT_TRUE(open()->load()->allocations.empty());
  for (const fs::path& draft : drafts) EXPECT_FALSE(fs::exists(draft)) << draft;
}

}  // namespace
}  // namespace mesclun::agent
