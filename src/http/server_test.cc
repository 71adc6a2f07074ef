#include "http/server.h"

#include "base/race.h"
#include "base/service.h"
#include "base/test_conn.h"
#include "base/test_loop.h"
#include "http/client.h"
#include "http/reader.h"

namespace mesclun {
namespace {

HttpResponse plain_error(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.body = error.message;
  return response;
}

Task<HttpResponse> echo(HttpRequest request) {
  HttpResponse response;
  response.body = request.head.method + " " + request.head.target + " " + request.body;
  co_return response;
}

// A client that sends `text` as it is and reads to the end.
Task<Result<std::string>> raw(Clock& clock, Endpoint endpoint, std::string text) {
  CO_TRY(const ConnPtr conn, co_await dial(endpoint, clock, 5s));
  conn->set_deadline(clock.now() + 10s);
  CO_TRY_DO(co_await conn->write(text));
  co_return co_await read_to_end(*conn);
}

Task<Result<>> server_cases(Clock& clock) {
  const auto executor = co_await asio::this_coro::executor;
  HttpLimits limits;
  limits.body_bytes_max = 100;
  limits.head_timeout = 300ms;
  limits.body_timeout = 300ms;
  HttpServer server(executor, clock, "test", limits, echo, plain_error);
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(executor, any));
  const Endpoint endpoint = listener.endpoint();
  server.serve(std::move(listener));

  HttpClient client(clock, endpoint, 5s);
  for (int i = 0; i < 3; ++i) {
    HttpCall call{.method = "POST", .target = "/x", .body = "hi"};
    CO_TRY(const HttpReply reply, co_await client.call(std::move(call)));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "POST /x hi");
  }
  EXPECT_EQ(server.connections(), 1u);  // kept alive

  CO_TRY(const std::string slow, co_await raw(clock, endpoint, "GET / HT"));
  EXPECT_TRUE(slow.starts_with("HTTP/1.1 408")) << slow;
  CO_TRY(
      const std::string stalled,
      co_await raw(clock, endpoint, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"));
  EXPECT_TRUE(stalled.starts_with("HTTP/1.1 408")) << stalled;
  CO_TRY(
      const std::string large,
      co_await raw(clock, endpoint, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"));
  EXPECT_TRUE(large.starts_with("HTTP/1.1 413")) << large;
  const std::string chunks =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" +
      std::string(128, 'x') + "\r\n0\r\n\r\n";
  CO_TRY(const std::string chunked, co_await raw(clock, endpoint, chunks));
  EXPECT_TRUE(chunked.starts_with("HTTP/1.1 413")) << chunked;
  CO_TRY(const std::string nonsense, co_await raw(clock, endpoint, "\r\n\r\nnonsense\r\n\r\n"));
  EXPECT_TRUE(nonsense.starts_with("HTTP/1.1 400")) << nonsense;
  CO_TRY(const std::string two,
         co_await raw(clock, endpoint,
                      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                      "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_NE(two.find("GET /1 "), std::string::npos);
  EXPECT_NE(two.find("GET /2 "), std::string::npos);
  co_await server.stop();
  EXPECT_EQ(server.connections(), 0u);
  co_return Result<>();
}

TEST(HttpServer, ServesAndRefusesWithinItsLimits) {
  RealLoop loop;
  loop.run(server_cases(loop.clock));
}

Task<HttpResponse> slowly(Clock& clock, HttpRequest request) {
  std::ignore = co_await clock.sleep_for(request.path() == "/never" ? 1h : 2s);
  co_return HttpResponse{.body = "done"};
}

Task<Result<>> ends_in_order(Clock& clock) {
  const auto executor = co_await asio::this_coro::executor;
  const auto handler = [&clock](HttpRequest request) { return slowly(clock, std::move(request)); };
  HttpServer server(executor, clock, "test", {}, handler, plain_error);
  std::vector<ConnPtr> clients;
  for (const char* text :
       {"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /never HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    auto [client, ours] = memory_conn_pair(executor, clock);
    server.serve(std::move(ours));
    CO_TRY_DO(co_await client->write(text));
    clients.push_back(std::move(client));
  }
  CO_TRY_DO(co_await clock.sleep_for(1s));
  const TimePoint start = clock.now();
  co_await server.stop(5s);
  EXPECT_EQ(clock.now() - start, 5s) << "no longer, for one that never answers";
  CO_TRY(const std::string idle, co_await read_to_end(*clients[0]));
  EXPECT_EQ(idle, "");
  CO_TRY(const std::string answered, co_await read_to_end(*clients[1]));
  EXPECT_TRUE(answered.starts_with("HTTP/1.1 200")) << answered;
  EXPECT_NE(answered.find("Connection: close"), std::string::npos) << answered;
  co_return Result<>();
}

TEST(HttpServer, EndsWhenItsRequestsHaveTheirAnswers) {
  VirtualLoop loop;
  loop.run(ends_in_order(loop.clock));
}

// Answers as soon as the head is there, and reads no more.
Task<void> refuse_early(Conn& conn) {
  ConnInput input(conn);
  HttpReader reader = HttpReader::request(input, 4096);
  std::ignore = co_await reader.read_head();
  std::ignore = co_await conn.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
  co_await until_cancelled();
}

Task<void> call_with(Conn& conn, std::string body, std::optional<Result<HttpReply>>& reply,
                     bool& keep_alive) {
  HttpCall call{.method = "POST", .body = std::move(body)};
  reply = co_await http_call(conn, std::move(call), "a", 1000, keep_alive);
}

Task<Result<>> call_beside(Conn& ours, Conn& its, std::optional<Result<HttpReply>>& reply,
                           bool& keep_alive) {
  co_await race(call_with(ours, std::string(100'000, 'x'), reply, keep_alive), refuse_early(its));
  co_return Result<>();
}

TEST(HttpCall, TakesAnAnswerThatComesBeforeAllIsSent) {
  VirtualLoop loop;
  auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock, 1000);
  std::optional<Result<HttpReply>> reply;
  bool keep_alive = true;
  loop.run(call_beside(*ours, *its, reply, keep_alive));
  ASSERT_TRUE(reply);
  ASSERT_TRUE(*reply);
  EXPECT_EQ((*reply)->status, 413);
  EXPECT_EQ((*reply)->body, "big");
  EXPECT_FALSE(keep_alive);
}

Task<Result<>> full_server(Clock& clock) {
  const auto executor = co_await asio::this_coro::executor;
  HttpLimits limits;
  limits.connections_max = 3;
  limits.health_path = "/healthz";
  HttpServer server(executor, clock, "test", limits, echo, plain_error);
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(executor, any));
  const Endpoint endpoint = listener.endpoint();
  server.serve(std::move(listener));
  std::vector<ConnPtr> idle;
  for (int i = 0; i < 3; ++i) {
    CO_TRY(ConnPtr conn, co_await dial(endpoint, clock, 5s));
    idle.push_back(std::move(conn));
  }
  while (server.connections() < 3) CO_TRY_DO(co_await clock.sleep_for(1ms));
  // Those who come beyond the bound and say nothing are pushed out.
  for (size_t i = 0; i < 3 * BriefRoom::kPlaces; ++i) {
    CO_TRY(ConnPtr conn, co_await dial(endpoint, clock, 5s));
    idle.push_back(std::move(conn));
  }
  CO_TRY(const std::string health,
         co_await raw(clock, endpoint, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(health.starts_with("HTTP/1.1 200")) << health;
  CO_TRY(const std::string other,
         co_await raw(clock, endpoint, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(other.starts_with("HTTP/1.1 503")) << "in good order: " << other;
  co_await server.stop();
  co_return Result<>();
}

TEST(HttpServer, HealthIsAnsweredBeyondTheBound) {
  RealLoop loop;
  loop.run(full_server(loop.clock));
}

}  // namespace
}  // namespace mesclun
