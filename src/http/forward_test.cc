#include "http/forward.h"

#include <gtest/gtest.h>

#include "http/parser.h"

namespace mesclun {
namespace {

HeaderList headers(std::initializer_list<HeaderList::View> fields) {
  HeaderList list;
  for (const auto& [name, value] : fields) list.add(name, value);
  return list;
}

TEST(Forward, WhatConcernsOneConnectionEndsThere) {
  std::string out;
  append_end_to_end(headers({{"Connection", "close"},
                             {"Keep-Alive", "5"},
                             {"proxy-connection", "x"},
                             {"Proxy-Authorization", "secret"},
                             {"Proxy-Authenticate", "x"},
                             {"TE", "deflate"},
                             {"Transfer-Encoding", "chunked"},
                             {"content-length", "5"},
                             {"Upgrade", "h2c"},
                             {"X-Kept", "1"},
                             {"X-Kept", "2"},
                             {"X-Dropped", "3"}}),
                    out, [](std::string_view name) { return name == "X-Dropped"; });
  EXPECT_EQ(out, "X-Kept: 1\r\nX-Kept: 2\r\n");
}

TEST(Forward, ConnectionNamesMoreButNeverTheHost) {
  std::string out;
  append_end_to_end(headers({{"Connection", "close"},
                             {"Connection", "X-Secret, host"},
                             {"Host", "a"},
                             {"x-secret", "s"},
                             {"Close", "is a name as any other"}}),
                    out, drop_none);
  EXPECT_EQ(out, "Host: a\r\n");
}

TEST(Forward, ALongConnectionHeaderIsReadOnce) {
  HeaderList list;
  list.add("Connection", std::string(20'000, ',') + "x-a");
  list.add("X-A", "1");
  for (int i = 0; i < 190; ++i) list.add("Connection", "x-b, x-c");
  EXPECT_TRUE(NamedByConnection(list).has("X-A"));
  EXPECT_FALSE(NamedByConnection(list).has("X-D"));
}

TEST(Forward, OnlyIdempotentRequestsMayBeRepeated) {
  for (const char* method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"}) {
    EXPECT_TRUE(is_idempotent(method)) << method;
  }
  for (const char* method : {"POST", "PATCH", "CONNECT", "get", ""}) {
    EXPECT_FALSE(is_idempotent(method)) << method;
  }
}

TEST(Forward, RequestsNameTheirLengthOrComeInChunks) {
  const auto framed = [](const HeaderList& list, BodyFraming framing) {
    std::string out;
    append_request_framing(list, framing, out);
    return out;
  };
  using Kind = BodyFraming::Kind;
  EXPECT_EQ(framed({}, {}), "");
  EXPECT_EQ(framed({}, {Kind::Length, 3}), "Content-Length: 3\r\n");
  EXPECT_EQ(framed(headers({{"Content-Length", "0"}}), {}), "Content-Length: 0\r\n");
  EXPECT_EQ(framed(headers({{"TE", "trailers, deflate"}}), {Kind::Chunked, 0}),
            "TE: trailers\r\nTransfer-Encoding: chunked\r\n");
}

std::string answer(std::string_view wire, bool to_head = false, bool http_1_0 = false,
                   bool keep_alive = true) {
  HttpParser parser = HttpParser::response(4096, to_head);
  EXPECT_TRUE(parser.parse_head(wire).value().done);
  const AnswerPlan plan = plan_answer(parser.framing(), !parser.body_done(), http_1_0, keep_alive);
  std::string out;
  append_answer_head(parser.response_head(), plan, out, drop_none);
  return out;
}

TEST(Forward, AnswersKeepTheirLengthOrComeInChunks) {
  EXPECT_EQ(answer("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX: y\r\nKeep-Alive: 1\r\n\r\n"),
            "HTTP/1.1 200 Fine\r\nX: y\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.0 200 OK\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      << "an end by close";
  EXPECT_EQ(answer("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true),
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            "HTTP/1.1 200 OK\r\n\r\n")
      << "a length that nobody told is not 0";
}

TEST(Forward, AnswersSayWhetherTheConnectionGoesOn) {
  const std::string_view sized = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
  EXPECT_EQ(answer(sized, false, false, false),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer(sized, false, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
      << "HTTP/1.0 has no chunks";
  EXPECT_EQ(answer("HTTP/1.1 101 Go\r\nConnection: Upgrade, X\r\nX: y\r\nUpgrade: p\r\n\r\n"),
            "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: p\r\n\r\n");
}

TEST(Forward, InterimAnswersPassAsTheyCome) {
  ResponseHead head{.status = 103, .reason = "Early Hints"};
  head.headers.add("Link", "x");
  head.headers.add("Connection", "close");
  std::string out;
  append_interim_head(head, out);
  EXPECT_EQ(out, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

TEST(Forward, ChunksAreFramedAndTrailersSifted) {
  std::string out;
  append_chunk_start(255, out);
  EXPECT_EQ(out, "ff\r\n");
  out.clear();
  append_last_chunk(headers({{"X-Checksum", "abc"},
                             {"Content-Length", "5"},
                             {"Host", "forged"},
                             {"X-Ours", "forged"}}),
                    out, [](std::string_view name) { return name == "X-Ours"; });
  EXPECT_EQ(out, "0\r\nX-Checksum: abc\r\n\r\n");
}

}  // namespace
}  // namespace mesclun
