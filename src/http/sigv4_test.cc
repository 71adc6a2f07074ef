// The examples of "Signature Calculations for the Authorization Header" in the documentation of S3.
#include "http/sigv4.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "http/url.h"

namespace mesclun {
namespace {

const SigningKey kKey{.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                      .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                      .region = "us-east-1"};
constexpr std::string_view kHost = "examplebucket.s3.amazonaws.com";

WallTime example_time() {
  return parse_rfc3339("2013-05-24T00:00:00Z").value();
}

std::string authorization(HttpCall call) {
  const std::string hash = sha256_hex(call.body);
  sign_v4(call, kHost, kKey, example_time(), hash);
  return std::string(call.headers.find("Authorization").value_or(""));
}

TEST(SigV4, SignsAGetOfAnObject) {
  HttpCall call{.target = "/test.txt"};
  call.headers.add("Range", "bytes=0-9");
  EXPECT_EQ(authorization(std::move(call)),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, SignsAPutOfAnObject) {
  HttpCall call{.method = "PUT", .target = "/test%24file.text", .body = "Welcome to Amazon S3."};
  call.headers.add("Date", "Fri, 24 May 2013 00:00:00 GMT");
  call.headers.add("x-amz-storage-class", "REDUCED_REDUNDANCY");
  // Not covered by the signature.
  call.headers.add("Content-Length", "21");
  call.headers.add("User-Agent", "x");
  EXPECT_EQ(authorization(std::move(call)),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
            "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SigV4, SignsQueriesWithAndWithoutValues) {
  const auto signature = [](std::string target) {
    HttpCall call{.target = std::move(target)};
    const std::string text = authorization(std::move(call));
    return text.substr(text.rfind('=') + 1);
  };
  EXPECT_EQ(signature("/?lifecycle"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature("/?max-keys=2&prefix=J"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  // The order and the way of writing do not matter.
  EXPECT_EQ(signature("/?prefix=%4A&max-keys=2"), signature("/?max-keys=2&prefix=J"));
}

TEST(SigV4, RepeatedHeadersAndSpacesAreJoined) {
  HttpCall apart{.target = "/a"};
  apart.headers.add("X-Amz-Meta-A", "1");
  apart.headers.add("x-amz-meta-a", "  2   3 ");
  HttpCall joined{.target = "/a"};
  joined.headers.add("x-amz-meta-a", "1,2 3");
  EXPECT_EQ(authorization(std::move(apart)), authorization(std::move(joined)));
}

TEST(SigV4, AnUnsignedPayloadAndAnotherRegionAreNamed) {
  HttpCall call{.method = "PUT", .target = "/b/k"};
  SigningKey key = kKey;
  key.region = "auto";
  sign_v4(call, "storage.example.com:9000", key, example_time(), kUnsignedPayload);
  EXPECT_EQ(call.headers.find("Host"), "storage.example.com:9000");
  EXPECT_EQ(call.headers.find("X-Amz-Content-Sha256"), "UNSIGNED-PAYLOAD");
  EXPECT_EQ(call.headers.find("X-Amz-Date"), "20130524T000000Z");
  EXPECT_NE(call.headers.find("Authorization")->find("/20130524/auto/s3/aws4_request"),
            std::string_view::npos);
}

TEST(SigV4, UriEncodingKeepsOnlyWhatIsUnreserved) {
  EXPECT_EQ(percent_encode("a/b c~\xc3\xa9+"), "a%2Fb%20c~%C3%A9%2B");
  EXPECT_EQ(percent_encode("a/b c", true), "a/b%20c");
}

}  // namespace
}  // namespace mesclun
