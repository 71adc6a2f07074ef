#include "http/h2_head.h"

#include <gtest/gtest.h>

#include "http/parser.h"

namespace mesclun {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kHeadMax = 2048;

Result<H2Section::Head> head_of(const Fields& fields, bool ended = true) {
  H2Section section(kHeadMax);
  for (const auto& [name, value] : fields) TRY_DO(section.add(name, value));
  return section.request(ended);
}
Fields get(Fields more = {}) {
  Fields fields = {
      {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/x?y=z"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
std::string text_of(const Fields& fields, bool ended = true) {
  const auto head = head_of(fields, ended);
  return head ? head->text : head.error().message;
}

TEST(H2Head, ARequestIsTheSameInHttp1) {
  EXPECT_EQ(text_of(get({{"accept", "*/*"}, {"te", "trailers"}})),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nte: trailers\r\n\r\n");
}

TEST(H2Head, CookiesAreOneHeader) {
  EXPECT_EQ(text_of(get({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}})),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n");
}

TEST(H2Head, ABodyHasALengthOrComesInChunks) {
  EXPECT_TRUE(
      text_of(get({{"content-length", "5"}}), false).ends_with("content-length: 5\r\n\r\n"));
  EXPECT_TRUE(text_of(get(), false).ends_with("transfer-encoding: chunked\r\n\r\n"));
  EXPECT_TRUE(text_of(get({{"content-length", "5"}, {"trailer", "x"}}), false)
                  .ends_with("trailer: x\r\ntransfer-encoding: chunked\r\n\r\n"));
  EXPECT_TRUE(
      text_of({{":method", "POST"}, {":path", "/"}}).ends_with("content-length: 0\r\n\r\n"));
}

TEST(H2Head, TheHostIsSaidOnceOrTwiceForTheReaderToRefuse) {
  EXPECT_EQ(text_of(get({{"host", "A.example"}})),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\n\r\n");
  const auto text = text_of(get({{"host", "b.example"}}));
  HttpParser parser = HttpParser::request(kHeadMax);
  EXPECT_FALSE(parser.parse_head(text)) << text;
}

TEST(H2Head, WhatHttp1CouldNotCarryIsMalformed) {
  for (const Fields& bad :
       std::vector<Fields>{get({{"x", "a\r\nb: c"}}),
                           get({{"x", std::string("a\0b", 3)}}),
                           get({{"x", "a\nb"}}),
                           get({{"x y", "a"}}),
                           get({{"X", "a"}}),
                           get({{"x:", "a"}}),
                           get({{"", "a"}}),
                           get({{"x", " a"}}),
                           get({{"x", "a "}}),
                           get({{"connection", "close"}}),
                           get({{"transfer-encoding", "chunked"}}),
                           get({{"upgrade", "websocket"}}),
                           get({{"keep-alive", "1"}}),
                           get({{"proxy-connection", "close"}}),
                           get({{"te", "gzip"}}),
                           get({{":path", "/y"}}),
                           get({{":protocol", "websocket"}}),
                           get({{"content-length", "1"}, {"content-length", "1"}}),
                           get({{"content-length", "5"}}),
                           Fields{{":method", "GET"}},
                           Fields{{":path", "/"}},
                           Fields{{":method", "GET"}, {":path", ""}},
                           Fields{{":method", "GET"}, {":path", "/a b"}},
                           Fields{{":method", "GET"}, {":path", "http://a/"}},
                           Fields{{":method", "G T"}, {":path", "/"}},
                           Fields{{":method", "CONNECT"}, {":path", "/"}},
                           Fields{{":method", "GET"}, {":path", "/"}, {":authority", "a b"}}}) {
    EXPECT_FALSE(head_of(bad)) << text_of(bad);
  }
}

TEST(H2Head, TooLongAHeadIsTooLongForTheReader) {
  Fields many = get();
  for (int i = 0; i < 1000; ++i) many.emplace_back("x", std::string(100, 'a'));
  const auto head = head_of(many);
  ASSERT_TRUE(head);
  EXPECT_GT(head->text.size(), kHeadMax);
  EXPECT_LT(head->text.size(), 2 * kHeadMax);
  HttpParser parser = HttpParser::request(kHeadMax);
  EXPECT_FALSE(parser.parse_head(head->text));
}

TEST(H2Head, AnswersLoseWhatConcernsOneConnection) {
  ResponseHead head;
  head.status = 200;
  head.headers.add("Content-Length", "5");
  head.headers.add("Connection", "close");
  head.headers.add("Transfer-Encoding", "chunked");
  head.headers.add("X-Own", "Kept");
  EXPECT_EQ(h2_answer_head(head),
            (H2Fields{{":status", "200"}, {"content-length", "5"}, {"x-own", "Kept"}}));
}

}  // namespace
}  // namespace mesclun
