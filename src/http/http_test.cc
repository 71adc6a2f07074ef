#include <fmt/format.h>

#include <gtest/gtest.h>

#include "http/parser.h"
#include "http/server.h"

namespace mesclun {
namespace {

// Parses `text` in pieces of `step` bytes, as a slow network delivers it.
std::string parse_request(std::string_view text, size_t step) {
  HttpParser parser = HttpParser::request(4096);
  std::string pending;
  std::string body;
  bool head = false;
  for (size_t at = 0; at < text.size(); at += step) {
    pending += text.substr(at, step);
    if (!head) {
      const auto parsed = parser.parse_head(pending);
      if (!parsed) return parsed.error().message;
      pending.erase(0, parsed->consumed);
      head = parsed->done;
      if (!head) continue;
    }
    if (parser.body_done()) continue;
    std::vector<std::string_view> pieces;
    const auto parsed = parser.parse_body(pending, pieces);
    if (!parsed) return parsed.error().message;
    for (std::string_view piece : pieces) body += piece;
    pending.erase(0, parsed->consumed);
  }
  if (!head) return "incomplete head";
  return fmt::format("{} {} body={} rest={} trailers={} {}", parser.request_head().method,
                     parser.request_head().target, body, pending, parser.trailers().size(),
                     parser.body_done() ? "done" : "open");
}

TEST(HttpParser, PiecesOfAnySizeGiveTheSameMessage) {
  const std::string chunked =
      "POST /p?q=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: v\r\n\r\n";
  const std::string empty_chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  const std::string sized = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcNEXT";
  for (size_t step = 1; step < 64; ++step) {
    EXPECT_EQ(parse_request(chunked, step), "POST /p?q=1 body=hello world rest= trailers=1 done");
    EXPECT_EQ(parse_request(empty_chunked, step), "POST / body= rest= trailers=0 done");
    EXPECT_EQ(parse_request(sized, step), "PUT / body=abc rest=NEXT trailers=0 done");
  }
}

TEST(HttpParser, RefusesWhatSmugglersSend) {
  for (const char* text : {
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent Length: 3\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
           "chunked\r\n\r\n",
           "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
           "GET /\r\n\r\n",
           "GET / HTTP/3.7\r\n\r\n",
           "G\x01T / HTTP/1.1\r\n\r\n",
       }) {
    EXPECT_TRUE(parse_request(text, 1000).starts_with("malformed HTTP")) << text;
  }
  const std::string long_head =
      "GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(20'000, 'x') + "\r\n\r\n";
  EXPECT_TRUE(parse_request(long_head, 1000).starts_with("malformed HTTP"));
}

TEST(HttpParser, PassesOverAFewEmptyLinesBeforeARequest) {
  for (size_t step = 1; step < 30; ++step) {
    EXPECT_EQ(parse_request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", step),
              "GET / body= rest= trailers=0 done");
    EXPECT_TRUE(parse_request("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", step)
                    .starts_with("malformed HTTP"));
  }
  HttpParser parser = HttpParser::request(4096);
  EXPECT_EQ(parser.parse_head("\r\n").value().consumed, 2u);
  EXPECT_FALSE(parser.began());
  EXPECT_EQ(parser.parse_head("G").value().consumed, 0u);
  EXPECT_TRUE(parser.began());
}

// The body of a message, in pieces of `step` bytes: its end, or what is wrong with it.
std::string parse_body_of(std::string_view body, size_t step) {
  HttpParser parser = HttpParser::request(4096);
  const std::string_view head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_TRUE(parser.parse_head(head).value().done);
  std::string pending;
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at < body.size(); at += step) {
    pending += body.substr(at, step);
    const auto parsed = parser.parse_body(pending, pieces);
    if (!parsed) return parsed.error().message;
    pending.erase(0, parsed->consumed);
    if (parser.body_done()) return "done";
  }
  return "open";
}

TEST(HttpParser, BoundsWhatFramesABody) {
  const size_t max = HttpParser::kFrameBytesMax;
  const std::string long_trailer = "0\r\nA: " + std::string(100 * 1024, 'x') + "\r\n\r\n";
  const std::string long_line = "1;a=" + std::string(100 * 1024, 'x') + "\r\nb\r\n0\r\n\r\n";
  std::string many_trailers = "0\r\n";
  for (int i = 0; i < 300; ++i) many_trailers += "A: b\r\n";
  many_trailers += "\r\n";
  std::string extended;  // a byte with a kilobyte beside it, again and again
  for (int i = 0; i < 30; ++i) extended += "1;a=" + std::string(1024, 'x') + "\r\nb\r\n";
  for (const std::string& body : {long_trailer, long_line, many_trailers, extended}) {
    for (const size_t step : {size_t{1000}, body.size()}) {
      EXPECT_TRUE(parse_body_of(body, step).starts_with("malformed HTTP")) << body.substr(0, 20);
    }
  }
  // At once: not more is kept than the bound and what came last.
  EXPECT_TRUE(parse_body_of(long_trailer.substr(0, max + 1000), 500).starts_with("malformed"));
  EXPECT_EQ(parse_body_of("0\r\nA: " + std::string(max / 2, 'x') + "\r\n\r\n", 100), "done");
  EXPECT_TRUE(parse_body_of("1;a=\"\n\"\r\nb\r\n0\r\n\r\n", 100).starts_with("malformed"));
}

TEST(HttpParser, TakesAStatusLineWithoutAReason) {
  const auto status = [](std::string_view text, size_t step) {
    HttpParser parser = HttpParser::response(4096, false);
    std::string pending;
    for (size_t at = 0; at < text.size(); at += step) {
      pending += text.substr(at, step);
      const auto parsed = parser.parse_head(pending);
      if (!parsed) return parsed.error().message;
      EXPECT_TRUE(parser.began());
      pending.erase(0, parsed->consumed);
      if (parsed->done) {
        return fmt::format("{} '{}' {}", parser.response_head().status,
                           parser.response_head().reason, parser.response_head().headers.size());
      }
    }
    return std::string("incomplete");
  };
  for (size_t step = 1; step < 50; ++step) {
    EXPECT_EQ(status("HTTP/1.1 200\r\nA: b\r\n\r\n", step), "200 '' 1");
    EXPECT_EQ(status("HTTP/1.1 200\r\n\r\n", step), "200 '' 0");
    EXPECT_EQ(status("HTTP/1.1 200 \r\nA: b\r\n\r\n", step), "200 '' 1");
    EXPECT_EQ(status("HTTP/1.0 404 Not Found\r\n\r\n", step), "404 'Not Found' 0");
    for (const char* bad :
         {"HTTP/1.1 20\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "nonsense\r\n",
          "HTTP/2.0 200\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
      EXPECT_TRUE(status(bad, step).starts_with("malformed HTTP")) << bad << step;
    }
  }
}

TEST(HttpParser, ResponsesKnowWhereTheyEnd) {
  const auto framing = [](std::string_view text, bool to_head) {
    HttpParser parser = HttpParser::response(4096, to_head);
    EXPECT_TRUE(parser.parse_head(text).value().done);
    return std::pair(parser.framing().kind, parser.body_done());
  };
  using Kind = BodyFraming::Kind;
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false),
            std::pair(Kind::Length, false));
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true),
            std::pair(Kind::None, true));
  EXPECT_EQ(framing("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n", false),
            std::pair(Kind::None, true));
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n", false), std::pair(Kind::UntilClose, false));
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            std::pair(Kind::Chunked, false));
}

TEST(HeaderList, FindsAnyCaseAndTokens) {
  HeaderList list;
  list.add("Connection", "keep-alive, Upgrade");
  list.add("X", "1");
  list.add("x", "2");
  EXPECT_TRUE(list.has_token("connection", "upgrade"));
  EXPECT_FALSE(list.has_token("connection", "keep"));
  EXPECT_EQ(list.find("X"), "1");
  list.set("x", "3");
  EXPECT_EQ(list.size(), 2u);
  list.remove("X");
  EXPECT_FALSE(list.has("x"));
}

TEST(HttpRequest, DecodesQueries) {
  HttpRequest request;
  request.head.target = "/a/b?page=2&name=a%20b+c&empty=&bad=%zz";
  EXPECT_EQ(request.path(), "/a/b");
  EXPECT_EQ(request.query("page"), "2");
  EXPECT_EQ(request.query("name"), "a b c");
  EXPECT_EQ(request.query("empty"), "");
  EXPECT_EQ(request.query("bad"), std::nullopt);
  EXPECT_EQ(request.query("none"), std::nullopt);
}

}  // namespace
}  // namespace mesclun
