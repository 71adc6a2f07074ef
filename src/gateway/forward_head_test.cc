#include "gateway/forward_head.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "http/parser.h"

namespace mesclun::gateway {
namespace {

struct Forwarded {
  std::optional<Refusal> refusal;
  RequestPlan plan;
  std::string text;
};

Forwarded forward(std::string_view wire, Forwarding forwarding = {.client_address = "192.0.2.7"}) {
  HttpParser parser = HttpParser::request(32 * 1024);
  const auto step = parser.parse_head(wire);
  EXPECT_TRUE(step && step->done);
  Forwarded out;
  out.refusal =
      plan_request(parser.request_head(), parser.framing(), parser.keep_alive(), out.plan);
  append_request_head(parser.request_head(), out.plan, forwarding, out.text);
  return out;
}

bool has_line(const std::string& text, std::string_view line) {
  return text.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
}

TEST(ForwardHead, KeepsMethodTargetHostAndHeadersAndAddsWhoAsked) {
  const Forwarded out = forward(
      "PATCH /a/b?c=%20d HTTP/1.1\r\nHost: G.example:8801\r\nX-Mine: 1\r\nX-Mine: 2\r\n"
      "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_FALSE(out.refusal);
  EXPECT_TRUE(out.text.starts_with("PATCH /a/b?c=%20d HTTP/1.1\r\n"));
  EXPECT_TRUE(has_line(out.text, "Host: G.example:8801"));
  EXPECT_TRUE(has_line(out.text, "X-Mine: 1"));
  EXPECT_TRUE(has_line(out.text, "X-Mine: 2"));
  EXPECT_TRUE(has_line(out.text, "Content-Length: 3"));
  EXPECT_TRUE(has_line(out.text, "Expect: 100-continue"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-For: 192.0.2.7"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Host: G.example:8801"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Proto: http"));
  EXPECT_TRUE(has_line(out.text, "Forwarded: for=192.0.2.7;host=\"G.example:8801\";proto=http"));
}

TEST(ForwardHead, DropsHopByHopHeadersAndTheKey) {
  const Forwarded out = forward(
      "GET / HTTP/1.1\r\nHost: g.example\r\nConnection: keep-alive, X-Secret, Host\r\n"
      "X-Secret: s\r\nKeep-Alive: 5\r\nProxy-Authorization: p\r\nTE: trailers, deflate\r\n"
      "Upgrade: h2c\r\nsalad-api-key: k\r\nX-Kept: yes\r\n\r\n");
  for (const char* gone : {"X-Secret", "Keep-Alive", "Proxy-Auth", "deflate", "Upgrade", "salad"}) {
    EXPECT_EQ(out.text.find(gone), std::string::npos) << gone;
  }
  EXPECT_TRUE(has_line(out.text, "X-Kept: yes"));
  EXPECT_TRUE(has_line(out.text, "TE: trailers"));
  EXPECT_TRUE(has_line(out.text, "Host: g.example")) << "cannot be named away";
}

TEST(ForwardHead, StrangersCannotSayWhereTheyComeFrom) {
  const std::string_view wire =
      "GET / HTTP/1.1\r\nHost: g.example\r\nX-Forwarded-For: 198.51.100.1\r\n"
      "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 198.51.100.1\r\n"
      "Salad-Job-Id: 5\r\nForwarded: for=\"198.51.100.1\r\nX-Forwarded: kept\r\n\r\n";
  const Forwarded out = forward(wire, {.client_address = "2001:db8::1"});
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-For: 2001:db8::1"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Proto: http"));
  EXPECT_TRUE(has_line(out.text, "X-Real-IP: 2001:db8::1"));
  EXPECT_TRUE(has_line(out.text, "Forwarded: for=\"[2001:db8::1]\";host=\"g.example\";proto=http"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded: kept"));
  EXPECT_EQ(out.text.find("198.51"), std::string::npos) << out.text;
  EXPECT_EQ(out.text.find("Salad"), std::string::npos) << out.text;
  EXPECT_EQ(out.text.find("Port"), std::string::npos) << out.text;
}

TEST(ForwardHead, AProxyOfOursIsBelievedAndItsChainExtended) {
  const Forwarding ours{.client_address = "10.0.0.1", .trust_client = true};
  const Forwarded out = forward(
      "GET / HTTP/1.1\r\nHost: g.example\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: "
      "https\r\nX-Forwarded-Host: h.example\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 198.51.100.1\r\n"
      "Salad-Job-Id: 5\r\nSalad-Api-Key: k\r\nForwarded: for=\"198.51.100.1\"\r\n\r\n",
      ours);
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-For: 198.51.100.1, 10.0.0.1"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Proto: https"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Host: h.example"));
  EXPECT_TRUE(has_line(out.text, "X-Forwarded-Port: 443"));
  EXPECT_TRUE(has_line(out.text, "X-Real-IP: 198.51.100.1"));
  EXPECT_TRUE(has_line(out.text, "Salad-Job-Id: 5"));
  EXPECT_EQ(out.text.find("Api-Key"), std::string::npos);
  EXPECT_TRUE(has_line(
      out.text, "Forwarded: for=\"198.51.100.1\", for=10.0.0.1;host=\"h.example\";proto=https"));

  const Forwarded broken = forward(
      "GET / HTTP/1.1\r\nHost: g.example\r\nForwarded: for=\"a\\\"\r\nX-Forwarded-Host: "
      "a\"b\r\n\r\n",
      ours);
  EXPECT_TRUE(has_line(broken.text, "Forwarded: for=10.0.0.1;host=\"g.example\";proto=http"))
      << "an open quote would swallow ours";
}

TEST(ForwardHead, AbsoluteTargetsBecomePaths) {
  const Forwarded out = forward("GET http://g.example/p?q HTTP/1.1\r\nHost: G.example\r\n\r\n");
  EXPECT_EQ(out.plan.host, "g.example");
  EXPECT_TRUE(out.text.starts_with("GET /p?q HTTP/1.1\r\nHost: g.example\r\n"));
}

TEST(ForwardHead, OnlyWebSocketsAreUpgraded) {
  const Forwarded out = forward(
      "GET /ws HTTP/1.1\r\nHost: g.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Key: x\r\n\r\n");
  EXPECT_TRUE(out.plan.websocket);
  EXPECT_TRUE(has_line(out.text, "Connection: Upgrade"));
  EXPECT_TRUE(has_line(out.text, "Upgrade: websocket"));
  EXPECT_FALSE(forward("POST / HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       "Content-Length: 0\r\n\r\n")
                   .plan.websocket);
  for (const char* body : {"Content-Length: 5", "Transfer-Encoding: chunked"}) {
    const std::string wire =
        "GET /ws HTTP/1.1\r\nHost: g.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        std::string(body) + "\r\n\r\n";
    EXPECT_EQ(forward(wire).refusal->status, 400) << body;
  }
}

std::string respond(std::string_view wire, RequestPlan request) {
  HttpParser parser = HttpParser::response(32 * 1024, request.to_head);
  const auto step = parser.parse_head(wire);
  EXPECT_TRUE(step && step->done);
  const AnswerPlan plan =
      plan_answer(parser.framing(), !parser.body_done(), request.http_1_0, request.keep_alive);
  std::string out;
  append_relayed_head(parser.response_head(), plan, "", out);
  return out;
}

TEST(ForwardHead, AnIdFollowsTheRequestAndItsAnswer) {
  const auto id_of = [](std::string_view header) {
    HttpParser parser = HttpParser::request(32 * 1024);
    const std::string wire = fmt::format("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", header);
    EXPECT_TRUE(parser.parse_head(wire)->done);
    return std::string(request_id_of(parser.request_head()));
  };
  EXPECT_EQ(id_of("x-request-id: 7f-A_.:/+=@\r\n"), "7f-A_.:/+=@");
  for (const std::string& bad : {std::string(), std::string("X-Request-Id: two words\r\n"),
                                 std::string("X-Request-Id: \"quoted\"\r\n"),
                                 "X-Request-Id: " + std::string(129, 'x') + "\r\n"}) {
    EXPECT_EQ(id_of(bad), "") << bad;
  }
  const Forwarded asked =
      forward("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: two words\r\n\r\n", {.request_id = "7"});
  EXPECT_TRUE(has_line(asked.text, "X-Request-Id: 7"));
  EXPECT_EQ(asked.text.find("two words"), std::string::npos);
}

TEST(ForwardHead, AnswersKeepTheirLengthOrBecomeChunked) {
  const RequestPlan request{.keep_alive = true};
  EXPECT_EQ(
      respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\nKeep-Alive: 1\r\n\r\n", request),
      "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", request),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", request),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      << "an end by close";
  EXPECT_EQ(respond("HTTP/1.1 204 No Content\r\n\r\n", request), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", request),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n", {}),
            "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
                    {.keep_alive = true, .to_head = true}),
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
}

TEST(ForwardHead, ApplicationsCannotSpeakForTheGateway) {
  EXPECT_EQ(
      respond("HTTP/1.1 503 Busy\r\nx-gateway-error: no_instance\r\nContent-Length: 0\r\n\r\n",
              {.keep_alive = true}),
      "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
}

TEST(ForwardHead, OldClientsGetNoChunks) {
  const RequestPlan old{.keep_alive = true, .http_1_0 = true};
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", old),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", old),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ForwardHead, TrailersPassWithoutWhatIsOurs) {
  HeaderList trailers;
  trailers.add("X-Checksum", "abc");
  trailers.add("X-Forwarded-For", "forged");
  trailers.add("Content-Length", "5");
  std::string out;
  append_last_chunk(trailers, out);
  EXPECT_EQ(out, "0\r\nX-Checksum: abc\r\n\r\n");
}

TEST(PrefersHtml, TellsBrowsersFromPrograms) {
  EXPECT_TRUE(prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"));
  EXPECT_FALSE(prefers_html("*/*"));
  EXPECT_FALSE(prefers_html("application/json"));
  EXPECT_FALSE(prefers_html("application/json, text/html"));
}

TEST(PathName, StandsForTheHost) {
  const auto taken = [](std::string target) {
    RequestHead head{.method = "GET", .target = std::move(target)};
    head.host = "127.0.0.1:8801";
    RequestPlan plan;
    take_path_name(head, plan);
    return head.host + " " + head.target + " " + plan.prefix;
  };
  EXPECT_EQ(taken("/@greeter/a/b?c=1"), "greeter.localhost /a/b?c=1 /@greeter");
  EXPECT_EQ(taken("/@greeter"), "greeter.localhost / /@greeter");
  EXPECT_EQ(taken("/@greeter?x"), "greeter.localhost /?x /@greeter");
  EXPECT_EQ(taken("/@a.example.org/"), "a.example.org / /@a.example.org");
  EXPECT_EQ(taken("/@/x"), "127.0.0.1:8801 /@/x ") << "names nothing";
  EXPECT_EQ(taken("/@a\"b/x"), "127.0.0.1:8801 /@a\"b/x ");
  EXPECT_EQ(taken("/a/@b"), "127.0.0.1:8801 /a/@b ");
}

}  // namespace
}  // namespace mesclun::gateway
