#include "agent/private_images.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mesclun::agent {
namespace {

TEST(PrivateImages, WhatCameByCredentialsMustBeProvenByEverybody) {
  PrivateImages::Organizations stored;
  PrivateImages images(stored);
  EXPECT_FALSE(images.must_prove("ghcr.io/team/app", "acme"));
  EXPECT_TRUE(images.mark("ghcr.io/team/app"));
  EXPECT_FALSE(images.mark("ghcr.io/team/app"));
  EXPECT_TRUE(images.must_prove("ghcr.io/team/app", "acme"));
  EXPECT_TRUE(images.prove("ghcr.io/team/app", "acme"));
  EXPECT_FALSE(images.prove("ghcr.io/team/app", "acme"));
  EXPECT_FALSE(images.must_prove("ghcr.io/team/app", "acme"));
  EXPECT_TRUE(images.must_prove("ghcr.io/team/app", "other"));
  EXPECT_FALSE(images.must_prove("ghcr.io/team/open", "other"));
  EXPECT_TRUE(PrivateImages(stored).must_prove("ghcr.io/team/app", "other")) << "it is stored";
}

TEST(PrivateImages, WhenFullEverythingCountsAsPrivate) {
  PrivateImages::Organizations stored;
  PrivateImages images(stored);
  for (size_t i = 0; i < PrivateImages::kRepositoriesMax; ++i) images.mark(fmt::format("r/{}", i));
  EXPECT_FALSE(images.mark("r/one-more"));
  EXPECT_TRUE(images.must_prove("r/one-more", "acme"));
}

TEST(PrivateImages, OfManyOrganizationsTheOldestProveItAgain) {
  PrivateImages::Organizations stored;
  PrivateImages images(stored);
  images.mark("r/a");
  for (size_t i = 0; i <= PrivateImages::kOrganizationsMax; ++i) {
    images.prove("r/a", fmt::format("o{}", i));
  }
  EXPECT_TRUE(images.must_prove("r/a", "o0"));
  EXPECT_FALSE(images.must_prove("r/a", "o1"));
}

}  // namespace
}  // namespace mesclun::agent
