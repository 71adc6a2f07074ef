// The metadata client against real servers: good, refusing, broken, silent and absent ones.
#include "companion/metadata_client.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/test_loop.h"
#include "http/server.h"

namespace mesclun::companion {
namespace {

using testing::HasSubstr;

class MetadataClientTest : public testing::Test {
 protected:
  // The metadata service: answers with the next of `statuses`, the last one again and again.
  Task<HttpResponse> answer(HttpRequest request) {
    requests.push_back(request);
    const int status = statuses[std::min(requests.size(), statuses.size()) - 1];
    if (status == 0) std::ignore = co_await loop.clock.sleep_for(1h);
    HttpResponse response{.status = status};
    if (status != 204) response.body = R"({"title":"why"})";
    co_return response;
  }

  Result<> reallocate(std::string reason = "too slow") {
    Result<> result;
    loop.run(reallocate_from_server(std::move(reason), result));
    return result;
  }
  Task<Result<>> reallocate_from_server(std::string reason, Result<>& result) {
    const Endpoint any{.host = "127.0.0.1"};
    CO_TRY(Listener listener, Listener::bind(loop.executor(), any));
    config.uri = "http://" + listener.endpoint().to_string() + path;
    HttpServer server(
        loop.executor(), loop.clock, "metadata", {},
        [this](HttpRequest request) { return answer(std::move(request)); },
        [](const Error&) { return HttpResponse{.status = 400}; });
    server.serve(std::move(listener));
    MetadataClient client(loop.clock, config);
    result = co_await client.reallocate(std::move(reason));
    co_await server.stop();
    co_return Result<>();
  }
  Result<> reallocate_at(std::string uri) {
    config.uri = std::move(uri);
    Result<> result;
    const auto body = [](MetadataClientTest& t, Result<>& out) -> Task<Result<>> {
      MetadataClient client(t.loop.clock, t.config);
      out = co_await client.reallocate("x");
      co_return Result<>();
    };
    loop.run(body(*this, result));
    return result;
  }

  RealLoop loop;
  MetadataConfig config{.timeout = 5s};
  std::string path;
  std::vector<int> statuses{204};
  std::vector<HttpRequest> requests;
};

TEST_F(MetadataClientTest, SendsTheReasonWithTheHeader) {
  EXPECT_TRUE(reallocate());
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].head.method, "POST");
  EXPECT_EQ(requests[0].head.target, "/v1/reallocate");
  EXPECT_EQ(requests[0].head.headers.find("Metadata"), "true");
  EXPECT_EQ(requests[0].head.headers.find("Content-Type"), "application/json");
  EXPECT_EQ(parse_json(requests[0].body).value(), (json::value{{"reason", "too slow"}}));
}

TEST_F(MetadataClientTest, AnySuccessIsSuccess) {
  statuses = {200};
  path = "/";
  EXPECT_TRUE(reallocate());
  path = "/base";
  EXPECT_TRUE(reallocate());
  EXPECT_EQ(requests.back().head.target, "/base/v1/reallocate");
}

TEST_F(MetadataClientTest, LongReasonsAreCut) {
  std::string reason;
  for (int i = 0; i < 1500; ++i) reason += "é";
  EXPECT_TRUE(reallocate(reason));
  const json::value body = parse_json(requests[0].body).value();
  EXPECT_EQ(body.at("reason").as_string().size(), 2000u) << "1,000 characters of two bytes";
}

TEST_F(MetadataClientTest, RefusalsAreNotRepeatedAndSayWhatToDo) {
  statuses = {403};
  Result<> result = reallocate();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::PermissionDenied);
  EXPECT_THAT(result.error().message, HasSubstr("remove any proxy"));
  EXPECT_EQ(requests.size(), 1u);

  statuses = {404};
  result = reallocate();
  EXPECT_EQ(result.code(), ErrorCode::NotFound);
  EXPECT_THAT(result.error().message, HasSubstr("ending is enough"));
  EXPECT_EQ(requests.size(), 2u);

  statuses = {400};
  EXPECT_EQ(reallocate().code(), ErrorCode::InvalidArgument);
}

TEST_F(MetadataClientTest, TroubleIsTriedThreeTimes) {
  statuses = {500};
  const Result<> result = reallocate();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::Unavailable);
  EXPECT_THAT(result.error().message, HasSubstr("answered 500"));
  EXPECT_EQ(requests.size(), 3u);
}

TEST_F(MetadataClientTest, ALaterTryMaySucceed) {
  statuses = {503, 204};
  EXPECT_TRUE(reallocate());
  EXPECT_EQ(requests.size(), 2u);
}

TEST_F(MetadataClientTest, AServiceThatHangsIsLeft) {
  statuses = {0};
  config.timeout = 100ms;
  const Result<> result = reallocate();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::DeadlineExceeded);
  EXPECT_THAT(result.error().message, HasSubstr("gave no answer within 100 ms"));
  EXPECT_EQ(requests.size(), 3u);
}

TEST_F(MetadataClientTest, NoServiceAndNoUriAreTold) {
  Result<> result = reallocate_at("http://127.0.0.1:1");
  EXPECT_EQ(result.code(), ErrorCode::Unavailable);
  EXPECT_THAT(result.error().message, HasSubstr("no metadata service"));
  result = reallocate_at("169.254.169.254:80");
  EXPECT_EQ(result.code(), ErrorCode::InvalidArgument);
}

TEST(CleanReason, IsValidTextOfBoundedLength) {
  EXPECT_EQ(clean_reason(""), "no reason given");
  EXPECT_EQ(clean_reason("a\nb\x7f"), "a b ");
  EXPECT_EQ(clean_reason("a\xff\xc3"), "a??");
  EXPECT_EQ(clean_reason("\xe2\x82\xac\xe2\x82"), "\xe2\x82\xac??");
  EXPECT_EQ(clean_reason("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(clean_reason("\xc0\x80"), "??") << "an overlong form";
  EXPECT_EQ(clean_reason("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(clean_reason(std::string(2000, 'x')).size(), 1000u);
}

}  // namespace
}  // namespace mesclun::companion
