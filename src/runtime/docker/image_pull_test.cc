#include "runtime/docker/image_pull.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mesclun::runtime {
namespace {

constexpr std::string_view kLines =
    R"({"status":"Pulling from library/app","id":"1"})"
    "\r\n"
    R"({"status":"Pulling fs layer","progressDetail":{},"id":"a"})"
    "\r\n"
    R"({"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"})"
    "\r\n"
    R"({"status":"Downloading","progressDetail":{"current":50,"total":100},"id":"b"})"
    "\r\n";

TEST(PullReport, CountsTheBytesOfAllLayersHoweverTheStreamIsCut) {
  for (size_t piece = 1; piece <= kLines.size(); ++piece) {
    PullReport report;
    for (size_t at = 0; at < kLines.size(); at += piece) {
      EXPECT_TRUE(report.feed(kLines.substr(at, piece)));
    }
    EXPECT_DOUBLE_EQ(report.percent(), 30);
    EXPECT_TRUE(report.feed("{\"status\":\"Pull complete\",\"id\":\"a\"}\n"));
    EXPECT_DOUBLE_EQ(report.percent(), 75);
    EXPECT_TRUE(report.feed("{\"status\":\"Pull complete\",\"id\":\"b\"}\n"));
    EXPECT_DOUBLE_EQ(report.percent(), 99);
  }
}

TEST(PullReport, NonsenseIsPassedOverWithinItsBounds) {
  PullReport report;
  EXPECT_TRUE(report.feed("\n\nnull\n[]\n{\"id\": 7}\n"));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(report.feed(std::string(10'000, 'x')));
  for (int i = 0; i < 2000; ++i) {
    EXPECT_TRUE(
        report.feed(fmt::format("\n{{\"status\":\"Downloading\",\"progressDetail\":{{\"current\":-"
                                "5,\"total\":-1}},\"id\":\"{}\"}}",
                                i)));
  }
  EXPECT_EQ(report.percent(), 0);
}

TEST(PullReport, AFailureIsInTheEnginesWords) {
  PullReport report;
  const Result<> fed = report.feed("{\"error\":\"no space left on device\"}\n");
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().message, "no space left on device");
}

TEST(PullError, TellsWhoseFaultItIs) {
  const auto code = [](std::string_view words) { return pull_error("app:1", words).code; };
  EXPECT_EQ(code("manifest for app:1 not found: manifest unknown: manifest unknown"),
            ErrorCode::NotFound);
  EXPECT_EQ(code("pull access denied for app, repository does not exist or may require 'docker "
                 "login': denied: requested access to the resource is denied"),
            ErrorCode::PermissionDenied);
  EXPECT_EQ(code("unauthorized: authentication required"), ErrorCode::PermissionDenied);
  EXPECT_EQ(code("no matching manifest for linux/amd64 in the manifest list entries"),
            ErrorCode::FailedPrecondition);
  EXPECT_EQ(code("write /var/lib/docker/tmp/x: no space left on device"),
            ErrorCode::ResourceExhausted);
  EXPECT_EQ(code("dial tcp: lookup registry on 10.0.0.1:53: server misbehaving"),
            ErrorCode::Unavailable);
  EXPECT_EQ(pull_error("app:1", "x").message, "cannot pull the image app:1: x");
}

TEST(ImageName, HasATagAndNoScheme) {
  EXPECT_EQ(full_image_name("app"), "app:latest");
  EXPECT_EQ(full_image_name("app:2"), "app:2");
  EXPECT_EQ(full_image_name("https://localhost:5000/team/app"), "localhost:5000/team/app:latest");
  EXPECT_EQ(full_image_name("localhost:5000/app@sha256:00"), "localhost:5000/app@sha256:00");
}

}  // namespace
}  // namespace mesclun::runtime
