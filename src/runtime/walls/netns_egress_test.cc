#include "runtime/walls/netns_egress.h"

#include <gtest/gtest.h>

namespace mesclun::runtime {
namespace {

TEST(Egress, NumbersHaveNetworksOfTheirOwn) {
  EXPECT_EQ(egress_addresses(0).machine, "10.213.0.1");
  EXPECT_EQ(egress_addresses(63).run, "10.213.0.254");
  EXPECT_EQ(egress_addresses(64).run, "10.213.1.2");
  EXPECT_EQ(egress_addresses(16383).run, "10.213.255.254");
  EXPECT_EQ(egress_addresses(16383).interface, "msc16383");
}

}  // namespace
}  // namespace mesclun::runtime
