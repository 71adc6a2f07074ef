#include "http/head_rules.h"

#include <gtest/gtest.h>

#include "http/parser.h"

namespace mesclun {
namespace {

// "host target", or what is wrong.
std::string request(std::string_view line, std::string_view headers) {
  HttpParser parser = HttpParser::request(64 * 1024);
  const std::string text = std::string(line) + "\r\n" + std::string(headers) + "\r\n";
  const auto parsed = parser.parse_head(text);
  if (!parsed) return parsed.error().message.substr(sizeof "malformed HTTP:");
  EXPECT_TRUE(parsed->done);
  return parser.request_head().host + " " + parser.request_head().target;
}

TEST(HeadRules, ARequestIsForOneHost) {
  EXPECT_EQ(request("GET /x HTTP/1.1", "Host: a.example:81\r\n"), "a.example:81 /x");
  EXPECT_EQ(request("GET /x HTTP/1.1", "Host: [::1]:80\r\n"), "[::1]:80 /x");
  EXPECT_EQ(request("GET /x HTTP/1.1", "Host:\r\n"), " /x");
  EXPECT_EQ(request("GET /x HTTP/1.0", ""), " /x");
  EXPECT_EQ(request("GET /x HTTP/1.1", ""), "the Host header is missing");
  EXPECT_EQ(request("GET /x HTTP/1.1", "Host: a\r\nhost: a\r\n"), "several Host headers");
  for (const char* bad : {"a b", "a,b", "a/b", "u@a", "a:b", "a:80:80", ":80", "[::1", "[]", "[g]",
                          "a:123456", "a\t", "a\xff"}) {
    EXPECT_EQ(request("GET /x HTTP/1.1", "Host: " + std::string(bad) + "x\r\n"),
              "the Host header is not a host name")
        << bad;
  }
}

TEST(HeadRules, ATargetIsAPathOrAUrlOfTheSameHost) {
  EXPECT_EQ(request("GET http://A.example/p?q HTTP/1.1", "Host: a.example\r\n"), "A.example /p?q");
  EXPECT_EQ(request("GET HTTPS://a:443?q HTTP/1.1", "Host: a\r\n"), "a:443 /?q");
  EXPECT_EQ(request("GET http://a/ HTTP/1.0", ""), "a /");
  EXPECT_EQ(request("OPTIONS * HTTP/1.1", "Host: a\r\n"), "a *");
  EXPECT_EQ(request("OPTIONS http://a HTTP/1.1", "Host: a\r\n"), "a *");
  EXPECT_EQ(request("OPTIONS http://a/ HTTP/1.1", "Host: a\r\n"), "a /");
  EXPECT_EQ(request("CONNECT a:80 HTTP/1.1", "Host: a:80\r\n"), "a:80 a:80");
  EXPECT_EQ(request("GET //evil/x HTTP/1.1", "Host: a\r\n"), "a //evil/x");
  EXPECT_EQ(request("GET http://b/ HTTP/1.1", "Host: a\r\n"),
            "the target and the Host header name different hosts");
  EXPECT_EQ(request("GET http://a:81/ HTTP/1.1", "Host: a\r\n"),
            "the target and the Host header name different hosts");
  EXPECT_EQ(request("GET http:///x HTTP/1.1", "Host: a\r\n"), "the target names no valid host");
  EXPECT_EQ(request("GET http://u@a/ HTTP/1.1", "Host: a\r\n"), "the target names no valid host");
  for (const char* bad : {"x", "*", "a:80", "ftp://a/", "ws://a/", "http:/x", "?q"}) {
    EXPECT_EQ(request("GET " + std::string(bad) + " HTTP/1.1", "Host: a\r\n"),
              "the target is neither a path nor an http URL")
        << bad;
  }
  for (const char* bad : {"/#x", "/\xc3\xa4", "/a\x80"}) {
    EXPECT_EQ(request("GET " + std::string(bad) + " HTTP/1.1", "Host: a\r\n"),
              "the target has characters that must be percent-encoded")
        << bad;
  }
}

TEST(HeadRules, FieldsAndConnectionOptionsAreFew) {
  std::string many = "Host: a\r\n";
  for (size_t i = 1; i < HeadRules::kFieldsMax; ++i) many += "A: b\r\n";
  EXPECT_EQ(request("GET / HTTP/1.1", many), "a /");
  EXPECT_EQ(request("GET / HTTP/1.1", many + "A: b\r\n"), "more than 200 headers");
  const std::string_view options = "Host: a\r\nConnection: keep-alive, x, ,y\r\nConnection: z\r\n";
  EXPECT_EQ(request("GET / HTTP/1.1", options), "a /");
  const std::string commas = "Connection: " + std::string(30'000, ',') + "a\r\n";
  EXPECT_EQ(request("GET / HTTP/1.1", "Host: a\r\n" + commas), "too many Connection options");
}

TEST(HeadRules, CloseOverrulesKeepAlive) {
  for (const char* version : {"1.0", "1.1"}) {
    HttpParser parser = HttpParser::request(4096);
    const std::string text =
        "GET / HTTP/" + std::string(version) +
        "\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x, Close\r\n\r\n";
    EXPECT_TRUE(parser.parse_head(text).value().done);
    EXPECT_FALSE(parser.keep_alive()) << version;
  }
}

}  // namespace
}  // namespace mesclun
