#include "api/registry_authentication.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mesclun::api {
namespace {

Result<RegistryChange> read(std::string_view member) {
  const auto text = fmt::format(R"({{"container": {{"image": "a"{}}}}})", member);
  return read_registry_authentication(parse_json(text).value());
}

Result<RegistryChange> read_kinds(std::string_view kinds) {
  return read(fmt::format(R"(, "registry_authentication": {})", kinds));
}

TEST(RegistryAuthentication, AbsentNullAndGivenAreThreeThings) {
  EXPECT_TRUE(read("").value().absent());
  EXPECT_TRUE(read_registry_authentication(parse_json("{}").value()).value().absent());
  EXPECT_TRUE(
      read_registry_authentication(parse_json(R"({"container": null})").value()).value().absent());
  EXPECT_TRUE(read_kinds("null").value().is_null());
  EXPECT_TRUE(read_kinds(R"({"basic": {"username": "u", "password": "p"}})").value().has_value());
}

TEST(RegistryAuthentication, EveryKindHasItsMembers) {
  using enum RegistryKind;
  const auto expect = [](std::string_view kinds, RegistryKind kind, std::string_view user,
                         std::string_view secret) {
    const auto change = read_kinds(kinds);
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->value.kind, kind);
    EXPECT_EQ(change->value.user, user);
    EXPECT_EQ(change->value.secret, secret);
  };
  expect(R"({"basic": {"username": "u", "password": "p"}})", Basic, "u", "p");
  expect(R"({"docker_hub": {"username": "u", "personal_access_token": "p"}})", DockerHub, "u", "p");
  expect(R"({"aws_ecr": {"access_key_id": "u", "secret_access_key": "p"}})", AwsEcr, "u", "p");
  expect(R"({"gcp_gar": {"service_key": "{\"a\": 1}"}})", GcpGar, "_json_key", R"({"a": 1})");
  expect(R"({"gcp_gcr": {"service_key": "{}"}, "aws_ecr": null})", GcpGcr, "_json_key", "{}");
}

TEST(RegistryAuthentication, WhatIsWrongIsNamed) {
  const auto expect = [](std::string_view kinds, const char* words) {
    const auto change = read_kinds(kinds);
    ASSERT_FALSE(change) << kinds;
    EXPECT_THAT(change.error().message, testing::HasSubstr(words)) << kinds;
    EXPECT_THAT(change.error().message, testing::Not(testing::HasSubstr("hunter2")));
  };
  constexpr const char* kPath = "/container/registry_authentication";
  expect("7", kPath);
  expect("{}", "exactly one");
  expect(R"({"basic": null})", "exactly one");
  expect(R"({"basic": {"username": "u", "password": "hunter2"},
             "docker_hub": {"username": "u", "personal_access_token": "hunter2"}})",
         "exactly one");
  expect(R"({"basic": 7})", "/container/registry_authentication/basic must be an object");
  expect(R"({"basic": {"password": "hunter2"}})", "basic/username is required");
  expect(R"({"basic": {"username": "u", "password": 7}})", "basic/password must be a string");
  expect(R"({"basic": {"username": "", "password": "hunter2"}})", "basic/username must have 1 to");
  expect(R"({"basic": {"username": "a:b", "password": "hunter2"}})", "colon");
  expect(R"({"gcp_gar": {"service_key": "hunter2"}})", "service account");
  expect(fmt::format(R"({{"basic": {{"username": "u", "password": "{}"}}}})",
                     std::string(10'001, 'x')),
         "10000");
}

}  // namespace
}  // namespace mesclun::api
