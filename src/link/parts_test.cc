#include "link/parts.h"

#include <gtest/gtest.h>

#include "link/frame.h"

namespace mesclun::link {
namespace {

Desired desired_of(size_t count, size_t bytes_each) {
  Desired desired{.revision = 5};
  for (size_t i = 0; i < count; ++i) {
    Assignment& assignment = desired.assignments.emplace_back();
    assignment.allocation_id = std::to_string(i);
    assignment.group_id.assign(bytes_each, '\x01');  // six bytes each in JSON
  }
  return desired;
}

TEST(Parts, AWholeOfAnySizeIsSaidInSmallFramesAndPutTogether) {
  for (const size_t count : {0u, 1u, 3u, 5'000u}) {
    std::vector<Desired> parts = in_parts(desired_of(count, 40), &Desired::assignments);
    GatherDesired gather;
    std::optional<Desired> whole;
    for (Desired& part : parts) {
      ASSERT_FALSE(whole);
      const auto frame = encode_frame(part);
      ASSERT_TRUE(frame);
      EXPECT_LE(frame->size(), kPartBytesMax + 1024);
      whole = gather.take(std::move(part)).value();
    }
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->revision, 5);
    ASSERT_EQ(whole->assignments.size(), count);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(whole->assignments[i].allocation_id, std::to_string(i));
    }
    if (count == 5'000) EXPECT_GT(parts.size(), 5u);
  }
}

TEST(Parts, AnElementThatIsTooHeavyForAPartHasOneOfItsOwn) {
  const std::vector<std::string> list = {"a", std::string(kPartBytesMax, 'x'), "b"};
  EXPECT_EQ(in_pieces(list).size(), 3u);
}

TEST(Parts, AFirstPartBeginsAnewAndAMissingOneIsAnError) {
  const std::vector<Desired> parts = in_parts(desired_of(3'000, 60), &Desired::assignments);
  ASSERT_GT(parts.size(), 3u);
  GatherDesired gather;
  EXPECT_FALSE(gather.take(parts[0]).value());
  EXPECT_FALSE(gather.take(parts[1]).value());
  // A newer one.
  EXPECT_EQ(gather.take(desired_of(1, 1)).value()->assignments.size(), 1u);
  EXPECT_EQ(gather.take(parts[1]).code(), ErrorCode::InvalidArgument) << "of nothing";
  EXPECT_FALSE(gather.take(parts[0]).value());
  EXPECT_EQ(gather.take(parts[2]).code(), ErrorCode::InvalidArgument);
}

// A peer that never says the last part.
TEST(Parts, AWholeIsBounded) {
  GatherReport gather(1024 * 1024);
  Report part;
  part.part.last = false;
  Result<std::optional<Report>> taken = std::optional<Report>();
  for (int i = 0; taken && i < 1'000'000; ++i) {
    part.part.index = i;
    part.instances = {{.allocation_id = std::string(1'000, 'a')}};
    taken = gather.take(part);
    EXPECT_LE(gather.weight(), 1024u * 1024 + 10'000);
  }
  EXPECT_EQ(taken.code(), ErrorCode::InvalidArgument);
}

// Every element that is cut: its weight is no less than what it takes.
TEST(Parts, WeightsAreNoLessThanTheJson) {
  const std::string ugly = "\"\\\x01\x1f\n ü";
  Assignment assignment{.allocation_id = ugly, .instance_id = ugly, .group_id = ugly};
  assignment.wish.nodes_left = -2'000'000'000;
  EXPECT_GE(weight_of(assignment), to_json_text(assignment).size());
  InstanceReport report{.allocation_id = ugly};
  report.status.update_time = INT64_MIN;
  report.status.reason = ugly;
  EXPECT_GE(weight_of(report), to_json_text(report).size());
  const InstanceEvent event{.sequence = INT64_MIN, .group_id = ugly, .detail = ugly};
  EXPECT_GE(weight_of(event), to_json_text(event).size());
  EXPECT_GE(weight_of(SpecName{ugly, INT32_MIN}), to_json_text(SpecName{ugly, INT32_MIN}).size());
  Route route{.dns = ugly};
  route.instances.assign(3, {.instance_id = ugly, .machine_id = ugly});
  EXPECT_GE(weight_of(route), to_json_text(route).size());
  const RouteKey key{.key_sha256 = ugly, .organization_ids = {ugly, ugly}};
  EXPECT_GE(weight_of(key), to_json_text(key).size());
}

}  // namespace
}  // namespace mesclun::link
