#include "http/peer_limit.h"

#include <gtest/gtest.h>

#include <vector>

namespace mesclun {
namespace {

TEST(PeerLimit, PlacesAreBoundedInAllAndByAddressAndComeBack) {
  PeerLimit limit({.all = 5, .of_address = 2});
  std::vector<PeerLimit::Place> places;
  const auto enters = [&](std::string_view address) {
    auto place = limit.enter(address);
    if (place) places.push_back(std::move(*place));
    return place.has_value();
  };
  EXPECT_TRUE(enters("192.0.2.1"));
  EXPECT_TRUE(enters("192.0.2.1"));
  EXPECT_FALSE(enters("192.0.2.1"));
  EXPECT_FALSE(enters("::ffff:192.0.2.1")) << "the same one";
  EXPECT_TRUE(enters("2001:db8::1"));
  EXPECT_TRUE(enters("2001:db8::2"));
  EXPECT_FALSE(enters("2001:db8::3")) << "one network";
  EXPECT_TRUE(enters("unix"));
  EXPECT_FALSE(enters("192.0.2.9")) << "in all";
  places.clear();
  EXPECT_EQ(limit.served(), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(enters("memory")) << "no address of a network";
}

}  // namespace
}  // namespace mesclun
