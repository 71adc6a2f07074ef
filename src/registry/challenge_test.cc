#include "registry/challenge.h"

#include <gtest/gtest.h>

namespace mesclun::registry {
namespace {

TEST(Challenge, OfADockerRegistry) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io")");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].detail("realm"), "https://auth.docker.io/token");
  EXPECT_EQ(found[0].detail("service"), "registry.docker.io");
  EXPECT_EQ(found[0].detail("scope"), "");
}

TEST(Challenge, SeveralInOneField) {
  const auto found = parse_challenges(
      R"(Basic realm="a, b" , , BEARER Realm = "x\"y" ,scope=repository, Negotiate)");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].detail("realm"), "a, b");
  EXPECT_EQ(found[1].scheme, "bearer");
  EXPECT_EQ(found[1].detail("realm"), "x\"y");
  EXPECT_EQ(found[1].detail("scope"), "repository");
  EXPECT_EQ(found[2].scheme, "negotiate");
}

TEST(Challenge, WhatIsBrokenEndsTheReading) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges(" , ,").empty());
  EXPECT_TRUE(parse_challenges("\"Bearer\"").empty());
  EXPECT_EQ(parse_challenges(R"(Bearer realm="never ends)").at(0).detail("realm"), "");
  EXPECT_EQ(parse_challenges("Bearer realm=").at(0).detail("realm"), "");
  EXPECT_EQ(parse_challenges("Basic realm=a, Bearer realm=\"\\").size(), 2u);
}

TEST(Challenge, FloodsAreCut) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "Basic realm=a, ";
  EXPECT_EQ(parse_challenges(many).size(), 8u);
  std::string details = "Bearer a=b";
  for (int i = 0; i < 1000; ++i) details += ", a=b";
  EXPECT_EQ(parse_challenges(details).at(0).details.size(), 16u);
  EXPECT_LE(
      parse_challenges("Bearer realm=" + std::string(100'000, 'a')).at(0).detail("realm").size(),
      8192u);
}

}  // namespace
}  // namespace mesclun::registry
