#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "companion/batch_codec.h"
#include "companion/forward.h"
#include "companion/grpc_health.h"
#include "companion/multipart.h"
#include "companion/work_meter.h"

namespace mesclun::companion {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const std::vector<BatchItem> kItems = {
    {.id = 7, .path = "/a\"b", .content_type = "image/png", .body = "{\"n\":1}"},
    {.id = 8, .path = "/c", .content_type = "", .body = "[]"}};

HttpReply json_reply(std::string body) {
  HttpReply reply{.status = 200, .body = std::move(body)};
  reply.headers.add("Content-Type", "application/json");
  return reply;
}

TEST(BatchCodec, AJsonBatchCarriesTheBodiesAsTheyAre) {
  const HttpCall call = write_batch({}, kItems, "");
  EXPECT_EQ(call.target, "/batch");
  EXPECT_EQ(call.headers.find("X-Batch-Size"), "2");
  EXPECT_EQ(call.body, R"({"items":[{"id":"7","path":"/a\"b","body":{"n":1}},)"
                       R"({"id":"8","path":"/c","body":[]}]})");
}

TEST(BatchCodec, AnswersAreMatchedByIdInAnyOrder) {
  const auto answers =
      split_answer(json_reply(R"({"items":[{"id":"8","status":422,"body":{"error":"x"}},)"
                              R"({"id":7,"body":[1],"headers":{"X-Tokens":12}}]})"),
                   kItems);
  ASSERT_TRUE(answers);
  EXPECT_EQ((*answers)[0]->body, "[1]");
  EXPECT_EQ((*answers)[0]->headers.find("X-Tokens"), "12");
  EXPECT_EQ((*answers)[1]->status, 422);
}

TEST(BatchCodec, BodiesArePassedOnAsWritten) {
  for (const char* body : {"1.7132", "123456789012345678901234567890", "\"a\\\"]}\\u00e4\"",
                           "{\"items\":[{\"body\":1}],\"x\" : [ ] }", "null", "true", "[]"}) {
    const auto answers = split_answer(
        json_reply(fmt::format(R"( {{ "x":{{"items":[7]}}, "items" : [ {{"id":"8","body":0}} , )"
                               R"({{ "body":1,"id":"7" ,"body" : {} }} ]}} )",
                               body)),
        kItems);
    ASSERT_TRUE(answers) << body << ": " << answers.error().message;
    EXPECT_EQ((*answers)[0]->body, body);
    EXPECT_EQ((*answers)[1]->body, "0");
  }
}

TEST(BatchCodec, WithoutIdsTheOrderCountsAndMustBeComplete) {
  EXPECT_TRUE(split_answer(json_reply(R"({"items":[{"body":1},{"body":2}]})"), kItems));
  EXPECT_FALSE(split_answer(json_reply(R"({"items":[{"body":1}]})"), kItems));
  EXPECT_FALSE(split_answer(json_reply(R"({"items":[{"body":1},{"body":2},{"body":3}]})"), kItems));
}

TEST(BatchCodec, GarbageIsAnErrorWithASentence) {
  for (const char* body :
       {"", "nonsense", "[]", "{}", R"({"items":7})", R"({"items":[1]})",
        R"({"items":[{"id":"9","body":1}]})", R"({"items":[{"id":"7","status":99,"body":1}]})",
        R"({"items":[{"id":"7","body":1},{"body":2}]})",
        R"({"items":[{"id":"7","headers":{"a b":"c"},"body":1}]})",
        R"({"items":[{"id":"7","headers":{"a":"b\r\nc"},"body":1}]})"}) {
    EXPECT_FALSE(split_answer(json_reply(body), kItems)) << body;
  }
  HttpReply failed = json_reply("{}");
  failed.status = 500;
  EXPECT_THAT(split_answer(failed, kItems).error().message, HasSubstr("500"));
}

TEST(BatchCodec, AMissingItemWithIdsIsOnlyMissing) {
  const auto answers = split_answer(json_reply(R"({"items":[{"id":"8","body":1}]})"), kItems);
  ASSERT_TRUE(answers);
  EXPECT_FALSE((*answers)[0]);
  EXPECT_TRUE((*answers)[1]);
}

TEST(BatchCodec, MultipartCarriesAnyBytesBothWays) {
  BatchConfig config;
  config.format = BatchFormat::Multipart;
  const std::string binary("\0\r\n--x\r\n\xff", 9);
  std::vector<BatchItem> items = kItems;
  items[0].body = binary;
  items[1].body = "";
  const HttpCall call = write_batch(config, items, "boundary-1");
  const auto parts = parse_multipart(*call.headers.find("Content-Type"), call.body, items.size());
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_THAT(*parts, SizeIs(2));
  EXPECT_EQ((*parts)[0].name, "7");
  EXPECT_EQ((*parts)[0].body, binary);
  EXPECT_EQ((*parts)[0].headers.find("Content-Type"), "image/png");
  EXPECT_EQ((*parts)[1].body, "");

  HttpReply reply{.status = 200};
  reply.headers.add("Content-Type", "multipart/form-data; boundary=\"b b\"");
  reply.body =
      "preamble\r\n--b b\r\nContent-Disposition: form-data; name=\"8\"\r\nX-Status: "
      "415\r\n\r\nno\r\n"
      "--b b\r\ncontent-disposition: form-data; name=7\r\n\r\nyes\r\n--b b--\r\n";
  const auto answers = split_answer(reply, items);
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_EQ((*answers)[0]->body, "yes");
  EXPECT_EQ((*answers)[1]->status, 415);
  EXPECT_FALSE((*answers)[1]->headers.has("X-Status"));
}

TEST(BatchCodec, AnItemCannotFrameTheAnswerItself) {
  HttpReply parts{.status = 200};
  parts.headers.add("Content-Type", "multipart/form-data; boundary=b");
  const std::string begin = "--b\r\nContent-Disposition: form-data; name=8\r\n";
  parts.body = begin + "Transfer-Encoding: chunked\r\nX-Own: 1\r\n\r\nyes\r\n--b--\r\n";
  const HttpReply json = json_reply(
      R"({"items":[{"id":"8","headers":{"Transfer-Encoding":"chunked","X-Own":1},"body":1}]})");
  for (const HttpReply& reply : {parts, json}) {
    const auto answers = split_answer(reply, kItems);
    ASSERT_TRUE(answers) << answers.error().message;
    EXPECT_FALSE((*answers)[1]->headers.has("Transfer-Encoding"));
    EXPECT_EQ((*answers)[1]->headers.find("X-Own"), "1");
  }
  parts.body = begin + "X-Own: 1\nSet-Cookie: a=b\r\n\r\nyes\r\n--b--\r\n";
  EXPECT_EQ(split_answer(parts, kItems).code(), ErrorCode::InvalidArgument);
}

TEST(BatchCodec, AnIdTwiceFailsTheBatch) {
  const HttpReply json = json_reply(R"({"items":[{"id":"8","body":1},{"id":"8","body":2}]})");
  EXPECT_EQ(split_answer(json, kItems).code(), ErrorCode::InvalidArgument);
  HttpReply parts{.status = 200};
  parts.headers.add("Content-Type", "multipart/form-data; boundary=b");
  const std::string part = "--b\r\nContent-Disposition: form-data; name=8\r\n\r\nyes\r\n";
  parts.body = part + part + "--b--\r\n";
  EXPECT_EQ(split_answer(parts, kItems).code(), ErrorCode::InvalidArgument);
}

TEST(BatchCodec, HeadersThatTwoCouldReadDifferentlyFailTheBatch) {
  for (const char* header : {"Content-Length : 5", "X\x01: 1", "X-Own: a\vb", "\"X\": 1"}) {
    HttpReply parts{.status = 200};
    parts.headers.add("Content-Type", "multipart/form-data; boundary=b");
    parts.body = fmt::format(
        "--b\r\nContent-Disposition: form-data; name=8\r\n{}\r\n\r\nyes\r\n--b--\r\n", header);
    EXPECT_EQ(split_answer(parts, kItems).code(), ErrorCode::InvalidArgument) << header;
  }
}

TEST(Multipart, NonsenseIsRefused) {
  const std::string_view type = "multipart/form-data; boundary=x";
  for (const char* message :
       {"", "--x", "--x\r\n", "--x\r\n\r\nbody\r\n--x--", "--xy\r\n", "no boundary",
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbody"}) {
    EXPECT_FALSE(parse_multipart(type, message, 10)) << message;
  }
  EXPECT_FALSE(parse_multipart("multipart/form-data", "--x--", 10));
  EXPECT_TRUE(parse_multipart(type, "--x--\r\n", 10));
  std::string many;
  for (int i = 0; i < 3; ++i) {
    many += "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n";
  }
  EXPECT_FALSE(parse_multipart(type, many + "--x--", 2));
}

TEST(FieldSource, FindsHeadersAndJsonPointers) {
  HeaderList headers;
  headers.add("X-Tokens", "12.5");
  const FieldSource header{FieldSource::Kind::Header, "x-tokens"};
  const FieldSource pointer{FieldSource::Kind::Json, "/usage/tokens"};
  EXPECT_EQ(*find_number(header, headers, ""), 12.5);
  EXPECT_EQ(*find_number(pointer, {}, R"({"usage":{"tokens":3}})"), 3.0);
  EXPECT_EQ(find_field(pointer, {}, R"({"usage":{"tokens":"a"}})"), "a");
  EXPECT_EQ(find_number(pointer, {}, "{}").code(), ErrorCode::NotFound);
  for (const char* bad : {"-1", "nan", "inf", "1x", ""}) {
    HeaderList one;
    one.add("X-Tokens", bad);
    EXPECT_EQ(find_number(header, one, "").code(), ErrorCode::InvalidArgument) << bad;
  }
}

TEST(WorkMeter, TakesTheLastEventThatTellsIt) {
  const FieldSource source{FieldSource::Kind::Json, "/usage/completion_tokens"};
  WorkMeter meter(source);
  HeaderList headers;
  headers.add("Content-Type", "text/event-stream");
  meter.begin(headers);
  meter.feed("data: {\"usage\":{\"completion_tokens\":1}}\n\n");
  meter.feed("data: {\"usage\":{\"comple");
  meter.feed("tion_tokens\":42}}\r\n\r\ndata: [DONE]\n\n");
  EXPECT_EQ(meter.finish(), 42);
}

TEST(WorkMeter, TooLargeAnAnswerTellsNothing) {
  const FieldSource source{FieldSource::Kind::Json, "/n"};
  WorkMeter meter(source);
  meter.begin({});
  meter.feed("{\"n\":1,\"x\":\"");
  meter.feed(std::string(2 << 20, 'x'));
  meter.feed("\"}");
  EXPECT_EQ(meter.finish(), std::nullopt);
}

TEST(Forward, HopByHopHeadersStayBehind) {
  RequestHead head{.method = "POST", .target = "/x?y"};
  head.headers.add("Host", "example.com");
  head.headers.add("Connection", "keep-alive, X-Secret");
  head.headers.add("X-Secret", "1");
  head.headers.add("Transfer-Encoding", "chunked");
  head.headers.add("Expect", "100-continue");
  head.headers.add("Cookie", "a=b");
  std::string out;
  append_forward_head(head, {}, {BodyFraming::Kind::Length, 5}, 1500ms, out);
  EXPECT_EQ(out,
            "POST /x?y HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\nContent-Length: 5\r\n"
            "X-Request-Timeout-Ms: 1500\r\n\r\n");
}

TEST(Forward, ACallerCannotTakeTheHostAway) {
  RequestHead head{.method = "GET", .target = "/"};
  head.headers.add("Host", "example.com");
  head.headers.add("Connection", "close, Host");
  std::string forward;
  append_forward_head(head, {}, {}, 1s, forward);
  EXPECT_THAT(forward, HasSubstr("\r\nHost: example.com\r\n"));
  EXPECT_THAT(forward, Not(HasSubstr("Connection")));
}

TEST(Forward, OnlyAWebsocketIsAnUpgrade) {
  const auto forwarded = [](std::string method, std::string_view protocol, bool http_1_0) {
    RequestHead head{.method = std::move(method), .target = "/", .http_1_0 = http_1_0};
    head.headers.add("Connection", "keep-alive");
    head.headers.add("Connection", "Upgrade, HTTP2-Settings");
    head.headers.add("Upgrade", protocol);
    head.headers.add("HTTP2-Settings", "AAMAAABk");
    std::string out;
    append_forward_head(head, {}, {}, 1s, out);
    EXPECT_EQ(out.find("HTTP2-Settings"), std::string::npos);
    return out;
  };
  EXPECT_THAT(forwarded("GET", "h2c, WebSocket", false),
              HasSubstr("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(forwarded("GET", "h2c", false), Not(HasSubstr("Upgrade")));
  EXPECT_THAT(forwarded("POST", "websocket", false), Not(HasSubstr("Upgrade")));
  EXPECT_THAT(forwarded("GET", "websocket", true), Not(HasSubstr("Upgrade")));
}

TEST(Forward, CredentialsForAProxyAreNotTheApplications) {
  RequestHead head{.method = "GET", .target = "/"};
  head.headers.add("Authorization", "Bearer its-own");
  head.headers.add("Proxy-Authorization", "Basic cHJveHk=");
  std::string forward;
  append_forward_head(head, {}, {}, 1s, forward);
  EXPECT_THAT(forward, HasSubstr("\r\nAuthorization: Bearer its-own\r\n"));
  EXPECT_THAT(forward, Not(HasSubstr("Proxy-Authorization")));
}

TEST(Forward, TheDeadlineIsTheFrontsOwn) {
  RequestHead head{.method = "POST", .target = "/"};
  head.headers.add("x-request-timeout-ms", "99999");
  std::string out;
  append_forward_head(head, {}, {}, 0ms, out);
  EXPECT_EQ(out, "POST / HTTP/1.1\r\nX-Request-Timeout-Ms: 1\r\n\r\n") << "at least 1";
}

TEST(Forward, PriorityIsReadAndNonsenseIgnored) {
  const std::pair<const char*, int> cases[] = {{"u=0", 0},     {"u=7, i", 7}, {"i, u=1", 1},
                                               {"u=9", 3},     {"u=12", 3},   {"urgent", 3},
                                               {"u=2;x=1", 2}, {"", 3}};
  for (const auto& [text, urgency] : cases) {
    HeaderList headers;
    headers.add("Priority", text);
    const FrontConfig trusting{.trust_priority = true};
    EXPECT_EQ(read_wish(headers, trusting)->urgency, urgency) << text;
    EXPECT_EQ(read_wish(headers, {})->urgency, std::max(urgency, 3)) << text;
  }
}

TEST(GrpcHealth, TheRequestIsOneString) {
  EXPECT_EQ(*parse_health_request(""), "");
  EXPECT_EQ(*parse_health_request(std::string("\x0a\x05ready", 7)), "ready");
  EXPECT_EQ(*parse_health_request(std::string("\x10\x01\x0a\x01x", 5)), "x") << "unknown fields";
  for (const std::string_view bad : {"\x0a", "\x0a\x05re", "\x0b", "\xff\xff", "\x09\x01"}) {
    EXPECT_FALSE(parse_health_request(bad));
  }
}

}  // namespace
}  // namespace mesclun::companion
