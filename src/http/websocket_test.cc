#include "http/websocket.h"

#include <gtest/gtest.h>

#include "base/race.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

// A server whose upgrades become the other end of a WebSocket, or that refuses.
class WebSocketTest : public testing::Test {
 public:
  Task<HttpResponse> answer(HttpRequest request) {
    HttpResponse response;
    if (!asks_for_websocket(request) || request.path() != "/ws") {
      response.status = 404;
      response.body = "nothing here";
      co_return response;
    }
    response.status = 0;
    response.upgrade = [this, request](ConnPtr conn) {
      scope_.spawn(take(std::move(conn), request));
    };
    co_return response;
  }
  Task<Result<>> take(ConnPtr conn, HttpRequest request) {
    Result<WebSocketPtr> made =
        co_await accept_websocket(std::move(conn), std::move(request), 1000);
    if (!made) co_return Result<>();
    served = *std::move(made);
    came_.notify_all();
    co_return Result<>();
  }
  Task<Result<WebSocketPtr>> dial(std::string target) {
    auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock);
    server_.serve(std::move(theirs));
    HeaderList headers;
    headers.add("Salad-Api-Key", "k");
    co_return co_await dial_websocket(std::move(ours), "cloud", std::move(target),
                                      std::move(headers), 1000, refused);
  }
  Task<Result<WebSocketPtr>> dial() {
    CO_TRY(WebSocketPtr client, co_await dial("/ws?a=b"));
    while (!served) CO_TRY_DO(co_await came_.wait());
    co_return client;
  }
  Task<Result<>> stop() {
    served.reset();
    co_await server_.stop(0s);
    co_await scope_.stop();
    co_return Result<>();
  }

  RealLoop loop;
  WebSocketPtr served;
  WebSocketRefusal refused;

 private:
  Notify came_{loop.executor()};
  Scope scope_{loop.executor(), "test"};
  HttpServer server_{loop.executor(),
                     loop.clock,
                     "test",
                     {},
                     [this](HttpRequest request) { return answer(std::move(request)); },
                     [](const Error&) { return HttpResponse{.status = 400}; }};
};

Task<Result<>> speak(WebSocketTest& t) {
  CO_TRY(const WebSocketPtr client, co_await t.dial());
  for (const size_t size : {0u, 1u, 126u, 1000u}) {
    const std::string data(size, '\xff');
    CO_TRY_DO(co_await client->write({.text = false, .data = data}));
    CO_TRY(const WebSocketMessage heard, co_await t.served->read());
    EXPECT_TRUE(!heard.text && heard.data == data);
    CO_TRY_DO(co_await t.served->write({.text = true, .data = "so much: " + std::to_string(size)}));
    CO_TRY(const WebSocketMessage back, co_await client->read());
    EXPECT_TRUE(back.text);
    EXPECT_EQ(back.data, "so much: " + std::to_string(size));
  }
  co_return co_await t.stop();
}

TEST_F(WebSocketTest, MessagesArriveAsTheyWereWritten) {
  loop.run(speak(*this));
}

Task<Result<>> read_into(WebSocket& socket, std::vector<Error>& ends) {
  while (true) {
    const Result<WebSocketMessage> message = co_await socket.read();
    if (message) continue;
    ends.push_back(message.error());
    co_return Result<>();
  }
}

Task<Result<>> ask_and_close(WebSocketTest& t) {
  CO_TRY(const WebSocketPtr client, co_await t.dial());
  std::vector<Error> of_client;
  std::vector<Error> of_server;
  std::optional<Result<>> results[3];
  const auto both = [&](Task<Result<>> body) {
    return join(detail::store_result(read_into(*client, of_client), results[0]),
                join(detail::store_result(read_into(*t.served, of_server), results[1]),
                     detail::store_result(std::move(body), results[2])));
  };
  Scope scope(t.loop.executor(), "pinging");
  Task<Result<>> body = [](WebSocketTest& test) -> Task<Result<>> {
    const uint64_t before = test.served->heard();
    CO_TRY_DO(co_await test.served->ping());
    while (test.served->heard() == before) CO_TRY_DO(co_await test.loop.clock.sleep_for(1ms));
    EXPECT_FALSE(test.served->peer_is_gone());
    co_return co_await test.served->close(CloseCode::Policy, "enough");
  }(t);
  co_await both(std::move(body));
  EXPECT_TRUE(*results[2]);
  EXPECT_EQ(of_client.at(0).code, ErrorCode::Unavailable);
  EXPECT_NE(of_client.at(0).message.find("1008 enough"), std::string::npos);
  EXPECT_EQ(of_server.at(0).code, ErrorCode::Unavailable);
  co_return co_await t.stop();
}

TEST_F(WebSocketTest, PingsAreAnsweredByWhoReadsAndAGoodbyeIsHeard) {
  loop.run(ask_and_close(*this));
}

Task<Result<>> say_too_much(WebSocketTest& t) {
  CO_TRY(const WebSocketPtr client, co_await t.dial());
  CO_TRY_DO(co_await client->write({.text = false, .data = std::string(1001, 'x')}));
  const Result<WebSocketMessage> heard = co_await t.served->read();
  EXPECT_EQ(heard.code(), ErrorCode::OutOfRange);
  co_return co_await t.stop();
}

TEST_F(WebSocketTest, MessageThatIsTooLongIsNotTaken) {
  loop.run(say_too_much(*this));
}

Task<Result<>> be_refused(WebSocketTest& t) {
  const Result<WebSocketPtr> client = co_await t.dial("/elsewhere");
  EXPECT_EQ(client.code(), ErrorCode::Unavailable);
  EXPECT_EQ(t.refused.status, 404);
  EXPECT_EQ(t.refused.body, "nothing here");
  co_return co_await t.stop();
}

TEST_F(WebSocketTest, RefusalIsToldWithItsBody) {
  loop.run(be_refused(*this));
}

}  // namespace
}  // namespace mesclun
