#include "companion/front_server.h"

#include "base/service.h"
#include "companion/front_connection.h"
#include "http/server.h"

namespace mesclun::companion {

namespace {

// Of who comes beyond front.connections_max.
constexpr Duration kPagesTime = 2s;
// A caller connects to ask something.
constexpr Duration kFirstByteTimeout = 10s;

}  // namespace

Result<Listener> listen_on(const asio::any_io_executor& executor, std::string_view text) {
  if (!text.starts_with(':')) {
    TRY(const Endpoint endpoint, parse_endpoint(text));
    return Listener::bind(executor, endpoint);
  }
  TRY(const Endpoint any6, parse_endpoint("[::]" + std::string(text)));
  Result<Listener> listener = Listener::bind(executor, any6);
  if (listener) return listener;
  TRY(const Endpoint any4, parse_endpoint("0.0.0.0" + std::string(text)));
  Result<Listener> ipv4 = Listener::bind(executor, any4);
  // With both refused, the first error is the one to read.
  if (!ipv4) return listener.error();
  return ipv4;
}

FrontServer::FrontServer(const asio::any_io_executor& executor, Front& front,
                         const StatusPages& pages)
    : front_(front),
      pages_(pages),
      idle_([this](IdleConns::Entry entry) {
        connections_.spawn(serve_connection(std::move(entry)));
      }),
      beyond_(executor),
      listeners_(executor, "front listeners"),
      connections_(executor, "front connections") {}

void FrontServer::serve(Listener listener) {
  listeners_.spawn(accept_loop(std::make_shared<Listener>(std::move(listener))));
}

void FrontServer::accept(ConnPtr conn) {
  const auto max = static_cast<size_t>(front_.config().front.connections_max);
  if (connections() < max || idle_.close_oldest()) {
    rest(IdleConns::Entry(std::move(conn)), front_.clock().now() + kFirstByteTimeout);
  } else {
    connections_.spawn(serve_pages(std::move(conn)));
  }
}

void FrontServer::rest(IdleConns::Entry entry, TimePoint until) {
  if (!idle_.keep(entry, until)) connections_.spawn(serve_connection(std::move(entry)));
}

Task<Result<>> FrontServer::serve_connection(IdleConns::Entry entry) {
  FrontConnection connection(std::move(entry), front_, pages_, false);
  const Result<> end = co_await connection.run();
  if (connection.rests_until() && !connections_.stopping()) {
    rest(connection.take_rest(), *connection.rests_until());
  }
  co_return end;
}

Task<Result<>> FrontServer::serve_pages(ConnPtr conn) {
  FrontConnection connection(IdleConns::Entry(std::move(conn)), front_, pages_, true);
  const bool served = co_await beyond_.stay(front_.clock(), kPagesTime, connection.run());
  if (!served) ++front_.stats().refusals["connections_full"];
  co_return Result<>();
}

Task<Result<>> FrontServer::accept_loop(std::shared_ptr<Listener> listener) {
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener->accept(front_.clock()));
    accept(std::move(conn));
  }
}

Task<void> FrontServer::stop() {
  co_await listeners_.stop();
  idle_.clear();
  co_await connections_.stop();
}

namespace {

Task<HttpResponse> answer_page(const StatusPages& pages, HttpRequest request) {
  const std::optional<StatusPage> page = pages.find(request.path());
  HttpResponse response;
  if (!page) {
    response.status = 404;
    co_return response;
  }
  response.status = page->status;
  response.headers.add("Content-Type", page->content_type);
  response.body = page->body;
  co_return response;
}

HttpResponse page_error(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.body = error.message + "\n";
  return response;
}

}  // namespace

Task<Result<>> serve_status_pages(Listener listener, Clock& clock, const StatusPages& pages) {
  HttpLimits limits;
  limits.body_bytes_max = 64 * 1024;
  limits.connections_max = 64;
  HttpServer server(
      co_await asio::this_coro::executor, clock, "metrics", limits,
      [&pages](HttpRequest request) { return answer_page(pages, std::move(request)); }, page_error);
  server.serve(std::move(listener));
  co_await until_cancelled();
  co_await server.stop();
  co_return Error::cancelled();
}

}  // namespace mesclun::companion
