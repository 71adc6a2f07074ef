#include "client/load_report.h"

#include <gtest/gtest.h>

#include "client/http_transport.h"
#include "client/load_input.h"

namespace mesclun::client {
namespace {

LoadOutcome outcome_of(int status, const std::string& body) {
  LoadOutcome outcome{.index = 7};
  outcome.answer.verdict = status < 400 ? Verdict::Ok : Verdict::Rejected;
  outcome.answer.reply.status = status;
  outcome.answer.reply.body = body;
  outcome.answer.reply.headers.add("X-Node", "n1");
  outcome.answer.error = status < 400 ? "" : "bad";
  outcome.answer.attempts = 2;
  outcome.answer.latency = 1234567ns;
  return outcome;
}

TEST(LatencyHistogram, IsPreciseToOnePercent) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0s);
  for (int i = 1; i <= 10'000; ++i) histogram.record(i * 1ms);
  for (double q : {0.001, 0.5, 0.9, 0.99, 1.0}) {
    const double expected = q * 10;
    EXPECT_NEAR(to_seconds(histogram.quantile(q)), expected, expected * 0.01) << q;
  }
  EXPECT_EQ(histogram.max(), 10s);
  EXPECT_EQ(histogram.quantile(1), 10s);
}

TEST(LatencyHistogram, TakesAnyLatency) {
  LatencyHistogram histogram;
  for (Duration latency : {Duration(-1), Duration(0), Duration(999), Duration(24h * 365)}) {
    histogram.record(latency);
  }
  EXPECT_EQ(histogram.quantile(0.5), 0s);
  EXPECT_EQ(histogram.quantile(1), 24h * 365);
}

TEST(OutcomeLine, SaysWhatHappened) {
  EXPECT_EQ(outcome_line(outcome_of(200, "hi"), {}),
            R"({"index":7,"status":200,"attempts":2,"hedged":false,"latency_ms":1.235,)"
            R"("error":null,"body_bytes":2})"
            "\n");
  const LineOptions all{.label_header = "x-node", .keep_bodies = true};
  EXPECT_EQ(outcome_line(outcome_of(404, "{\"a\":1}"), all),
            R"({"index":7,"status":404,"attempts":2,"hedged":false,"latency_ms":1.235,)"
            R"("error":"bad","body_bytes":7,"node":"n1","body":"{\"a\":1}"})"
            "\n");
  EXPECT_NE(outcome_line(outcome_of(200, "\xff\xfe"), all).find(R"("body_base64":"//4=")"),
            std::string::npos);
}

TEST(LoadInput, JsonLinesAreBodies) {
  const auto bodies = split_json_lines("f", "{\"a\": 1}\r\n\n  [2]\n\"three\"");
  EXPECT_EQ(bodies.value(), (std::vector<std::string>{"{\"a\": 1}", "[2]", "\"three\""}));
  EXPECT_EQ(split_json_lines("f", "1\n\n{bad\n").error().message.substr(0, 5), "f:3: ");
  EXPECT_FALSE(split_json_lines("f", "\n \n").has_value());
}

TEST(LoadInput, HeadersCannotSmuggle) {
  HeaderList headers;
  EXPECT_TRUE(add_header(headers, "X-Key:  a b ").has_value());
  EXPECT_EQ(headers.find("x-key"), std::optional<std::string_view>("a b"));
  for (const char* bad : {"no colon", ": empty", "a b: c", "X: a\nY: b", "Content-Length: 3"}) {
    EXPECT_FALSE(add_header(headers, bad).has_value()) << bad;
  }
  EXPECT_EQ(headers.size(), 1u);
}

TEST(HttpAddress, KeepsTheNameForTheHostHeader) {
  const HttpUrl address = parse_http_address("http://a.localhost:8801/x?y=1#z").value();
  EXPECT_EQ(address.endpoint.to_string(), "localhost:8801");
  EXPECT_EQ(address.authority, "a.localhost:8801");
  EXPECT_EQ(address.target, "/x?y=1");
  EXPECT_EQ(parse_http_address("127.0.0.1?q").value().target, "/?q");
  EXPECT_EQ(parse_http_address("http://h").value().endpoint.port, 80);
}

TEST(HttpAddress, RefusesWhatItCannotReach) {
  EXPECT_NE(parse_http_address("https://h/").error().message.find("only http://"),
            std::string::npos);
  for (const char* bad :
       {"ftp://h/", "http://", "http://u@h/", "http://h/a b", "http://h:99999/"}) {
    EXPECT_FALSE(parse_http_address(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace mesclun::client
