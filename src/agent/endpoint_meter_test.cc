#include "agent/endpoint_meter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/scope.h"
#include "base/test_loop.h"
#include "http/server.h"

namespace mesclun::agent {
namespace {

using testing::HasSubstr;

TEST(MeasuredEndpoints, AreNamesWithAddresses) {
  const auto endpoint = parse_measured_endpoint("s3-eu=http://eu.example.com/32MB?x=1");
  ASSERT_TRUE(endpoint) << endpoint.error().message;
  EXPECT_EQ(endpoint->name, "s3-eu");
  EXPECT_EQ(endpoint->url.endpoint.host, "eu.example.com");
  EXPECT_EQ(endpoint->url.target, "/32MB?x=1");
  for (const char* wrong : {"", "s3", "=http://x", "S 3=http://x", "s3=", "s3=ftp://x", "s3=x"}) {
    EXPECT_FALSE(parse_measured_endpoint(wrong)) << wrong;
  }
}

TEST(MegabitsPerSecond, AreOnlySaidOfEnough) {
  EXPECT_DOUBLE_EQ(megabits_per_second(1'000'000, 1s).value(), 8);
  EXPECT_DOUBLE_EQ(megabits_per_second(1'000'000, 500ms).value(), 16);
  EXPECT_FALSE(megabits_per_second(1'000, 1s));
  EXPECT_FALSE(megabits_per_second(1'000'000, 0s));
}

class EndpointMeterTest : public testing::Test {
 protected:
  EndpointMeterTest() {
    auto listener = Listener::bind(loop_.executor(), {.host = "127.0.0.1", .port = 0}).value();
    address_ = listener.endpoint().to_string();
    server_.serve(std::move(listener));
  }
  ~EndpointMeterTest() override { loop_.run(stop(server_)); }

  static Task<HttpResponse> answer(HttpRequest request) {
    HttpResponse response;
    response.status = request.head.target == "/missing" ? 404 : 200;
    response.body = std::string(request.head.target == "/large" ? 500'000 : 10, 'x');
    co_return response;
  }
  static Task<Result<>> stop(HttpServer& server) {
    co_await server.stop();
    co_return Result<>();
  }
  static Task<Result<>> wait_for(EndpointMeter& meter, Clock& clock, size_t count) {
    while (meter.readings().size() < count) CO_TRY_DO(co_await clock.sleep_for(5ms));
    co_return Result<>();
  }

  // Of one round.
  std::vector<link::EndpointReading> measure(std::vector<std::string> addresses) {
    std::vector<MeasuredEndpoint> endpoints;
    for (const std::string& address : addresses) {
      endpoints.push_back(parse_measured_endpoint(address).value());
    }
    EndpointMeter meter(loop_.clock, std::move(endpoints), 1h);
    Scope scope(loop_.executor(), "meter");
    scope.spawn(meter.run());
    loop_.run(wait_for(meter, loop_.clock, addresses.size()));
    scope.cancel();
    loop_.run(ended(scope, loop_.clock));
    return meter.readings();
  }
  static Task<Result<>> ended(Scope& scope, Clock& clock) {
    while (scope.running() > 0) CO_TRY_DO(co_await clock.sleep_for(1ms));
    co_return Result<>();
  }

  RealLoop loop_;
  std::string address_;
  HttpServer server_{loop_.executor(), loop_.clock, "endpoint", {}, answer, {}};
};

TEST_F(EndpointMeterTest, TellsLatencyAndThroughput) {
  const auto read = measure({fmt::format("near=http://{}/large", address_)});
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].name, "near");
  EXPECT_GT(read[0].latency_ms.value_or(0), 0);
  EXPECT_GT(read[0].mbit_per_s.value_or(0), 0) << read[0].problem;
  EXPECT_EQ(read[0].problem, "");
  EXPECT_GT(read[0].time, 0);
}

TEST_F(EndpointMeterTest, WhatCannotBeMeasuredSaysWhyAndHoldsNobodyUp) {
  const auto read =
      measure({"gone=http://127.0.0.1:1/", fmt::format("no=http://{}/missing", address_),
               fmt::format("small=http://{}/small", address_)});
  ASSERT_EQ(read.size(), 3u);
  EXPECT_FALSE(read[0].latency_ms);
  EXPECT_NE(read[0].problem, "");
  EXPECT_TRUE(read[1].latency_ms);
  EXPECT_FALSE(read[1].mbit_per_s);
  EXPECT_THAT(read[1].problem, HasSubstr("404"));
  EXPECT_TRUE(read[2].latency_ms);
  EXPECT_FALSE(read[2].mbit_per_s) << "ten bytes tell nothing";
  EXPECT_EQ(read[2].problem, "");
}

}  // namespace
}  // namespace mesclun::agent
