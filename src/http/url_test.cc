#include "http/url.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

TEST(HttpUrl, NamesEndpointAuthorityAndTarget) {
  const HttpUrl url = parse_http_url("HTTPS://a.example:8443/x?y=1#z").value();
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.endpoint.to_string(), "a.example:8443");
  EXPECT_EQ(url.authority, "a.example:8443");
  EXPECT_EQ(url.target, "/x?y=1");
  EXPECT_EQ(parse_http_url("http://h").value().endpoint.port, 80);
  EXPECT_EQ(parse_http_url("https://h").value().endpoint.port, 443);
  EXPECT_EQ(parse_http_url("http://[::1]:80?q").value().authority, "[::1]");
  EXPECT_EQ(parse_http_url("http://[::1]:80?q").value().target, "/?q");
}

TEST(HttpUrl, TakesAPathUnderIt) {
  for (const char* text : {"http://h/a", "http://h/a/", "http://h/a//"}) {
    HttpUrl url = parse_http_url(text).value();
    url.append_path("/v1/x");
    EXPECT_EQ(url.target, "/a/v1/x") << text;
  }
}

TEST(HttpUrl, NamesUnderLocalhostAreThisMachine) {
  const HttpUrl url = parse_http_url("http://a.localhost:8801/").value();
  EXPECT_EQ(url.endpoint.to_string(), "localhost:8801");
  EXPECT_EQ(url.authority, "a.localhost:8801");
}

TEST(HttpUrl, MayLeaveOutTheSchemeWhereToldSo) {
  const HttpUrl url = parse_http_url("h:1/x?at=http://z/", UrlScheme::HttpIfMissing).value();
  EXPECT_EQ(url.endpoint.to_string(), "h:1");
  EXPECT_EQ(url.target, "/x?at=http://z/");
  EXPECT_FALSE(parse_http_url("h:1/x").has_value());
}

TEST(HttpUrl, RefusesWhatItWouldNotSend) {
  for (const char* bad : {"ftp://h/", "http://", "http:///x", "http://u@h/", "http://h/a b",
                          "http://h:99999/", "http://unix:/x", "http://h/\x80", ""}) {
    EXPECT_FALSE(parse_http_url(bad).has_value()) << bad;
  }
}

TEST(Target, AbsoluteOnesNameTheHost) {
  std::string target = "HTTP://real.example:81/p?q";
  EXPECT_EQ(take_authority(target), "real.example:81");
  EXPECT_EQ(target, "/p?q");
  target = "http://real.example?q";
  EXPECT_EQ(take_authority(target), "real.example");
  EXPECT_EQ(target, "/?q");
  target = "/http://x";
  EXPECT_EQ(take_authority(target), std::nullopt);
  EXPECT_EQ(target, "/http://x");
}

TEST(Target, HasPathAndDecodedParameters) {
  const std::string_view target = "/a/b?page=2&name=a%20b+c&empty=&bad=%zz";
  EXPECT_EQ(target_path(target), "/a/b");
  EXPECT_EQ(target_query(target, "name"), "a b c");
  EXPECT_EQ(target_query(target, "empty"), "");
  EXPECT_EQ(target_query(target, "bad"), std::nullopt);
  EXPECT_EQ(target_query("/a", "name"), std::nullopt);
}

TEST(PercentEncoding, GoesThereAndBack) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("a/b c~-._", true), "a/b%20c~-._");
  EXPECT_EQ(percent_encode("a/b"), "a%2Fb");
  for (const char* broken : {"%", "%2", "%zz"}) EXPECT_EQ(percent_decode(broken), std::nullopt);
}

}  // namespace
}  // namespace mesclun
