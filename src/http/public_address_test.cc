#include "http/public_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/real_clock.h"
#include "base/socket_conn.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

bool is_public(const char* text) {
  return is_public_address(boost::asio::ip::make_address(text));
}

TEST(PublicAddress, AnybodysAreTaken) {
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
        "192.167.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1",
        "64:ff9b::8.8.8.8", "2002:808:808::1"}) {
    EXPECT_TRUE(is_public(text)) << text;
  }
}

TEST(PublicAddress, OurOwnAndPrivateOnesAreNot) {
  for (const char* text :
       {"127.0.0.1", "127.255.1.1", "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.8", "192.0.2.1",
        "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "240.0.0.1",
        "255.255.255.255"}) {
    EXPECT_FALSE(is_public(text)) << text;
  }
}

TEST(PublicAddress, NoWayOfWritingAnAddressOpensIt) {
  for (const char* text :
       {"::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b:1::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001::1", "2001:db8::1",
        "2001:1ff::1", "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "100::1", "fec0::1"}) {
    EXPECT_FALSE(is_public(text)) << text;
  }
}

Task<Result<>> dial_by_rule(Clock& clock, Endpoint endpoint) {
  const std::string name = endpoint.to_string();
  const Result<ConnPtr> conn = co_await dial(std::move(endpoint), clock, 5s, is_public_address);
  EXPECT_EQ(conn.code(), ErrorCode::PermissionDenied) << name;
  if (!conn) {
    EXPECT_THAT(conn.error().message, testing::HasSubstr("is not reachable for everybody"));
  }
  co_return Result<>();
}

TEST(PublicAddress, ADialKeepsToIt) {
  RealLoop loop;
  for (const char* host : {"127.0.0.1", "localhost", "::1"}) {
    loop.run(dial_by_rule(loop.clock, Endpoint{.host = host, .port = 9}));
  }
}

TEST(PublicAddress, ADialByRuleOpensNoSocketFile) {
  RealLoop loop;
  loop.run(dial_by_rule(loop.clock, Endpoint{.host = "/run/x.sock", .port = 0, .is_unix = true}));
}

}  // namespace
}  // namespace mesclun
