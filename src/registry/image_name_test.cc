#include "registry/image_name.h"

#include <gtest/gtest.h>

namespace mesclun::registry {
namespace {

TEST(ImageName, RegistryAndRepositoryAreFoundAsEnginesDo) {
  const auto expect = [](const char* image, const char* registry, const char* repository) {
    const auto name = parse_image_name(image);
    ASSERT_TRUE(name) << image;
    EXPECT_EQ(name->registry, registry) << image;
    EXPECT_EQ(name->repository, repository) << image;
  };
  expect("busybox", "docker.io", "library/busybox");
  expect("busybox:1.36", "docker.io", "library/busybox");
  expect("team/app", "docker.io", "team/app");
  expect("docker.io/busybox", "docker.io", "library/busybox");
  expect("index.docker.io/team/app:2", "docker.io", "team/app");
  expect("registry-1.docker.io/team/app:2", "docker.io", "team/app");
  expect("GHCR.io/team/app@sha256:0123", "ghcr.io", "team/app");
  expect("ghcr.io/team/app:1@sha256:0123", "ghcr.io", "team/app");
  expect("https://ghcr.io/team/app", "ghcr.io", "team/app");
  expect("localhost/app", "localhost", "app");
  expect("localhost:5000/a/b/c:tag", "localhost:5000", "a/b/c");
  expect("127.0.0.1:5000/app", "127.0.0.1:5000", "app");
  expect("[::1]:5000/app", "[::1]:5000", "app");
  expect("1234.dkr.ecr.eu-west-1.amazonaws.com/a", "1234.dkr.ecr.eu-west-1.amazonaws.com", "a");
}

TEST(ImageName, WhatNoEnginePullsIsRefused) {
  for (const char* image :
       {"", "/", "a//b", "ghcr.io/", "ghcr.io/../v2", "ghcr.io/a/..", "ghcr.io/a b", "Team/App",
        "ghcr.io/a?b", "ghcr.io/a#b", "evil.example@ghcr.io", "a\nb", "user:pw@ghcr.io/a/b",
        "ghcr.io\\evil/a", "gh\xc3\xa9r.io/a"}) {
    const auto name = parse_image_name(image);
    // What is left of an "@" may still be a name.
    if (name) {
      EXPECT_EQ(name->registry, "docker.io") << image;
    } else {
      EXPECT_EQ(name.code(), ErrorCode::InvalidArgument) << image;
    }
  }
}

TEST(ImageName, DockerHubHasItsApiElsewhere) {
  EXPECT_EQ(api_host("docker.io"), "registry-1.docker.io");
  EXPECT_EQ(api_host("ghcr.io"), "ghcr.io");
}

TEST(ImageName, OnlyThisMachineIsLocal) {
  for (const char* local : {"localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"}) {
    EXPECT_TRUE(is_local(local)) << local;
  }
  for (const char* other : {"ghcr.io", "localhost.example:5000", "10.0.0.1:5000", "[::2]:5000"}) {
    EXPECT_FALSE(is_local(other)) << other;
  }
}

}  // namespace
}  // namespace mesclun::registry
