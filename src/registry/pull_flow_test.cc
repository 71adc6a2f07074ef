#include "registry/pull_flow.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"

namespace mesclun::registry {
namespace {

using testing::HasSubstr;

const ImageName kImage{.registry = "ghcr.io", .repository = "team/app"};
const api::RegistryAuthentication kLogin{.user = "u", .secret = "p"};

HttpReply answer(int status, std::string body = "", std::string_view challenge = "") {
  HttpReply reply{.status = status, .body = std::move(body)};
  if (!challenge.empty()) reply.headers.add("Www-Authenticate", challenge);
  return reply;
}

TEST(PullFlow, TheFirstCallIsByTlsButOnThisMachine) {
  EXPECT_EQ(first_call(kImage, true)->authority, "ghcr.io");
  EXPECT_TRUE(first_call(kImage, true)->tls);
  EXPECT_EQ(first_call({"docker.io", "library/a"}, false)->authority, "registry-1.docker.io");
  EXPECT_EQ(first_call(kImage, false)->target, "/v2/");
  const ImageName local{.registry = "127.0.0.1:5000", .repository = "a"};
  EXPECT_FALSE(first_call(local, true)->tls);
  EXPECT_TRUE(first_call(local, false)->tls);
}

TEST(PullFlow, ABearerChallengeLeadsToItsRealm) {
  const auto next = after_first_answer(
      answer(401, "", R"(Bearer realm="https://a.example/token?x=1",service="reg & co")"), kImage,
      false);
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(next->kind, NextCall::Kind::Realm);
  EXPECT_EQ(next->realm.authority, "a.example");
  EXPECT_EQ(next->realm.target,
            "/token?x=1&service=reg%20%26%20co&scope=repository%3Ateam%2Fapp%3Apull");
}

TEST(PullFlow, ATokenIsPreferredToAPassword) {
  const auto next = after_first_answer(
      answer(401, "", R"(Basic realm="x", Bearer realm="https://a.example")"), kImage, false);
  EXPECT_EQ(next->kind, NextCall::Kind::Realm);
  EXPECT_EQ(after_first_answer(answer(401, "", "Basic realm=x"), kImage, false)->kind,
            NextCall::Kind::Password);
  EXPECT_EQ(after_first_answer(answer(200), kImage, false)->kind, NextCall::Kind::None);
}

TEST(PullFlow, CredentialsGoToNoRealmWithoutTls) {
  const HttpReply plain = answer(401, "", R"(Bearer realm="http://a.example/token")");
  EXPECT_EQ(after_first_answer(plain, kImage, false).code(), ErrorCode::InvalidArgument);
  EXPECT_TRUE(after_first_answer(plain, kImage, true));
  for (const char* realm : {"", "ftp://a", "unix:/run/x", "https://u@a.example", "/token"}) {
    const auto challenge = fmt::format(R"(Bearer realm="{}")", realm);
    EXPECT_FALSE(after_first_answer(answer(401, "", challenge), kImage, true)) << realm;
  }
}

TEST(PullFlow, AnAnswerThatSaysNothingIsATrouble) {
  EXPECT_EQ(after_first_answer(answer(401), kImage, false).code(), ErrorCode::Unavailable);
  EXPECT_EQ(after_first_answer(answer(401, "", "Negotiate"), kImage, false).code(),
            ErrorCode::Unavailable);
  EXPECT_EQ(after_first_answer(answer(503), kImage, false).code(), ErrorCode::Unavailable);
  EXPECT_EQ(after_first_answer(answer(302), kImage, false).code(), ErrorCode::Unavailable);
}

TEST(PullFlow, ATokenIsReadWithItsLife) {
  const auto token = read_token(answer(200, R"({"token": "abc", "expires_in": 300})"), kImage);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->kind, PullAccess::Kind::Token);
  EXPECT_EQ(token->secret, "abc");
  EXPECT_EQ(token->life, 300s);
  EXPECT_EQ(read_token(answer(200, R"({"access_token": "x"})"), kImage)->life, 60s);
  EXPECT_EQ(read_token(answer(200, R"({"token": "x", "expires_in": -1})"), kImage)->life, 60s);
  EXPECT_EQ(read_token(answer(200, R"({"token": "x", "expires_in": 1e99})"), kImage)->life, 12h);
  for (const char* bad : {"", "[]", "{}", R"({"token": 7})", R"({"token": "a\nb"})"}) {
    EXPECT_EQ(read_token(answer(200, bad), kImage).has_value(), false) << bad;
  }
}

TEST(PullFlow, ARefusalHasTheRegistrysWords) {
  const auto refused = read_token(
      answer(401, R"({"errors": [{"code": "UNAUTHORIZED", "message": "wrong\u0007 password"}]})"),
      kImage);
  EXPECT_EQ(refused.code(), ErrorCode::PermissionDenied);
  EXPECT_EQ(refused.error().message, "ghcr.io refuses the credentials: 401 wrong  password");
  EXPECT_THAT(read_token(answer(403, R"({"details": "no such user"})"), kImage).error().message,
              HasSubstr("no such user"));
  EXPECT_EQ(read_token(answer(429), kImage).code(), ErrorCode::Unavailable);
  EXPECT_LT(read_token(answer(401, std::string(100'000, 'x')), kImage).error().message.size(),
            400u);
}

TEST(PullFlow, APasswordIsHandedOutOnceItIsProven) {
  const auto proven = read_password_check(answer(200), kImage, kLogin);
  ASSERT_TRUE(proven);
  EXPECT_EQ(proven->kind, PullAccess::Kind::Password);
  EXPECT_EQ(proven->user, "u");
  EXPECT_EQ(proven->secret, "p");
  EXPECT_EQ(read_password_check(answer(401), kImage, kLogin).code(), ErrorCode::PermissionDenied);
  EXPECT_EQ(basic_call("/v2/", kLogin).headers.find("Authorization"), "Basic dTpw");
}

TEST(PullFlow, EcrIsAskedInItsRegion) {
  const ImageName image{.registry = "1.dkr.ecr.eu-west-1.amazonaws.com", .repository = "a"};
  const auto place = ecr_place(image);
  ASSERT_TRUE(place) << place.error().message;
  EXPECT_EQ(place->region, "eu-west-1");
  EXPECT_EQ(place->api.authority, "api.ecr.eu-west-1.amazonaws.com");
  EXPECT_EQ(ecr_place({"1.dkr.ecr.cn-north-1.amazonaws.com.cn", "a"})->api.authority,
            "api.ecr.cn-north-1.amazonaws.com.cn");
  for (const char* elsewhere :
       {"ghcr.io", "public.ecr.aws", "amazonaws.com", ".dkr.ecr.amazonaws.com",
        "1.dkr.ecr.a.b.amazonaws.com", "1.dkr.ecr.x.amazonaws.com.evil.example",
        "1.dkr.ecr.evil:1.amazonaws.com"}) {
    EXPECT_EQ(ecr_place({elsewhere, "a"}).code(), ErrorCode::InvalidArgument) << elsewhere;
  }
  const HttpCall call = ecr_call(*place, kLogin, WallTime{} + std::chrono::hours(500'000));
  EXPECT_EQ(call.headers.find("Host"), "api.ecr.eu-west-1.amazonaws.com");
  EXPECT_THAT(
      std::string(*call.headers.find("Authorization")),
      HasSubstr("/eu-west-1/ecr/aws4_request, "
                "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target"));
}

TEST(PullFlow, AnEcrTokenIsUserAndPassword) {
  const WallTime now = WallTime{} + std::chrono::seconds(1'000'000);
  const auto read = [now](std::string_view token, std::string_view expires) {
    return read_ecr_token(
        answer(200,
               fmt::format(
                   R"({{"authorizationData": [{{"authorizationToken": "{}", "expiresAt": {}}}]}})",
                   token, expires)),
        now);
  };
  const auto access = read(base64("AWS:secret"), "1003600.5");
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->user, "AWS");
  EXPECT_EQ(access->secret, "secret");
  EXPECT_EQ(access->life, 1h);
  EXPECT_FALSE(read("!!!", "1"));
  EXPECT_FALSE(read(base64("nocolon"), "1"));
  EXPECT_FALSE(read_ecr_token(answer(200, R"({"authorizationData": []})"), now));
  EXPECT_EQ(read_ecr_token(answer(400, R"({"message": "bad key"})"), now).code(),
            ErrorCode::PermissionDenied);
}

}  // namespace
}  // namespace mesclun::registry
