#include "runtime/walls/netns_egress.h"

#include <gmock/gmock.h>
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

TEST(Egress, NameServersAreThoseThatCanBeReached) {
  EXPECT_THAT(name_servers("# by hand\n"
                           "search example.org\n"
                           "nameserver 192.168.1.1\n"
                           "nameserver\t10.0.0.53 \n"
                           "nameserver 127.0.0.53\n"
                           "nameserver fe80::1%eth0\n"
                           "nameserver 1.1.1.1; drop\n"
                           "options edns0"),
              testing::ElementsAre("192.168.1.1", "10.0.0.53"));
  EXPECT_TRUE(name_servers("").empty());
}

}  // namespace
}  // namespace mesclun::runtime
