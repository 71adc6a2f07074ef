#include "runtime/open_driver.h"

#include <gmock/gmock.h>

namespace mesclun::runtime {
namespace {

using testing::HasSubstr;

TEST(ChooseRuntime, IsContainersWhereRootHasAnEngine) {
  EXPECT_EQ(choose_runtime({.is_root = true}).kind, RuntimeKind::Docker);
  EXPECT_EQ(choose_runtime({.is_root = false}).kind, RuntimeKind::Process);
  EXPECT_THAT(choose_runtime({.is_root = false}).why, HasSubstr("root"));
  const RuntimeChoice none = choose_runtime({.is_root = true, .engine_problem = "nobody answers"});
  EXPECT_EQ(none.kind, RuntimeKind::Process);
  EXPECT_THAT(none.why, HasSubstr("nobody answers"));
}

TEST(ChooseRuntime, GoesOnWithWhatRuns) {
  EXPECT_EQ(choose_runtime({.has_processes = true, .is_root = true}).kind, RuntimeKind::Process);
  EXPECT_EQ(
      choose_runtime({.has_containers = true, .is_root = true, .engine_problem = "away"}).kind,
      RuntimeKind::Docker)
      << "it will be back";
}

}  // namespace
}  // namespace mesclun::runtime
