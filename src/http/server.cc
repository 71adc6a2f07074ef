#include "http/server.h"

#include "http/linger.h"

namespace mesclun {

namespace {

// Of connections beyond the bound: how long each may take for its request, and in all.
constexpr Duration kBriefTimeout = 1s;
constexpr Duration kBeyondTimeout = 10s;

void append_response(const HttpResponse& response, bool keep_alive, bool to_head,
                     std::string& out) {
  ResponseHead head;
  head.status = response.status;
  head.headers = response.headers;
  const bool no_body = response.status / 100 == 1 || response.status == 204;
  if (!no_body) head.headers.set("Content-Length", std::to_string(response.body.size()));
  if (response.status != 101) {
    if (!keep_alive) head.headers.set("Connection", "close");
  }
  write_head(head, out);
  if (!no_body && !to_head) out.append(response.body);
}

Task<Result<>> send(Conn& conn, Clock& clock, const HttpLimits& limits, std::string text) {
  conn.set_deadline(clock.now() + limits.write_timeout);
  co_return co_await conn.write(text);
}

// Refuses and ends the connection: after broken framing nothing that follows can be trusted.
Task<Result<>> refuse(Conn& conn, HttpInput& input, Clock& clock, const HttpLimits& limits,
                      const HttpErrorBody& error_body, Error error, int status = 0) {
  HttpResponse response = error_body(error);
  if (status != 0) response.status = status;
  std::string text;
  append_response(response, false, false, text);
  CO_TRY_DO(co_await send(conn, clock, limits, std::move(text)));
  co_await linger(conn, input, clock);
  co_return Result<>();
}

}  // namespace

Task<Result<>> serve_http(ConnPtr conn, Clock& clock, HttpLimits limits,
                          std::function<Task<HttpResponse>(HttpRequest)> handler,
                          HttpErrorBody error_body, std::shared_ptr<HttpEnding> ending) {
  if (!ending) ending = std::make_shared<HttpEnding>();
  ConnInput input(*conn);
  const auto refused = [&](Error error, int status = 0) {
    return refuse(*conn, input, clock, limits, error_body, std::move(error), status);
  };
  while (true) {
    // Waiting for a request is patient; once its first byte is here, its head is not.
    if (input.bytes().empty()) {
      if (ending->begun) co_return Result<>();
      conn->set_deadline(clock.now() + limits.idle_timeout);
      ending->idle.insert(conn.get());
      const Result<bool> more = co_await input.fill();
      ending->idle.erase(conn.get());
      if (!more || !*more) co_return Result<>();
    }
    conn->set_deadline(clock.now() + limits.head_timeout);
    HttpReader reader = HttpReader::request(input, limits.head_bytes_max);
    const Result<bool> whole = co_await reader.read_head();
    if (!whole && whole.code() == ErrorCode::InvalidArgument) {
      co_return co_await refused(whole.error());
    }
    if (!whole && whole.code() == ErrorCode::DeadlineExceeded && reader.began()) {
      co_return co_await refused(Error::deadline("the request head came too slowly"), 408);
    }
    if (!whole || !*whole) co_return Result<>();

    HttpRequest request;
    request.peer = conn->peer_address();
    request.head = std::move(reader.request_head());
    const bool to_head = request.head.method == "HEAD";
    bool keep_alive = reader.keep_alive();
    conn->set_deadline(clock.now() + limits.body_timeout);
    if (!reader.body_done() && request.head.headers.has_token("Expect", "100-continue")) {
      CO_TRY_DO(co_await conn->write("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    const Result<> body = co_await reader.read_whole_body(request.body, limits.body_bytes_max);
    if (!body) {
      if (body.code() == ErrorCode::Unavailable) co_return Result<>();
      co_return co_await refused(body.error(),
                                 body.code() == ErrorCode::DeadlineExceeded ? 408 : 0);
    }

    conn->set_deadline(TimePoint::max());
    HttpResponse response = co_await handler(std::move(request));
    if (co_await cancel_requested()) co_return Error::cancelled();
    keep_alive = keep_alive && !ending->begun;
    if (response.status != 0) {
      std::string text;
      append_response(response, keep_alive, to_head, text);
      const Result<> sent = co_await send(*conn, clock, limits, std::move(text));
      if (!sent) co_return Result<>();  // the client left; nothing of ours broke
    }
    if (response.upgrade) {
      conn->set_deadline(TimePoint::max());
      response.upgrade(with_read_ahead(std::move(conn), input.take_rest()));
      co_return Result<>();
    }
    if (!keep_alive) {
      conn->shutdown_write();
      co_return Result<>();
    }
  }
}

HttpServer::HttpServer(const asio::any_io_executor& executor, Clock& clock, std::string name,
                       HttpLimits limits, Handler handler, HttpErrorBody error_body)
    : clock_(clock),
      limits_(limits),
      handler_(std::move(handler)),
      error_body_(std::move(error_body)),
      beyond_(executor),
      listeners_(executor, name + " listeners"),
      connections_(executor, name + " connections") {}

void HttpServer::serve(Listener listener) {
  listeners_.spawn(accept_loop(std::make_shared<Listener>(std::move(listener))));
}

void HttpServer::serve(ConnPtr conn) {
  connections_.spawn(serve_http(std::move(conn), clock_, limits_, handler_, error_body_, ending_));
}

Task<Result<>> HttpServer::accept_loop(std::shared_ptr<Listener> listener) {
  while (true) {
    Result<ConnPtr> conn = co_await listener->accept(clock_);
    if (!conn) co_return conn.error();
    if (connections_.running() >= limits_.connections_max) {
      connections_.spawn(serve_beyond(std::move(*conn)));
    } else {
      serve(std::move(*conn));
    }
  }
}

Task<Result<>> HttpServer::serve_beyond(ConnPtr conn) {
  co_await beyond_.stay(clock_, kBeyondTimeout, serve_briefly(std::move(conn)));
  co_return Result<>();
}

Task<Result<>> HttpServer::serve_briefly(ConnPtr conn) {
  ConnInput input(*conn);
  HttpReader reader = HttpReader::request(input, limits_.head_bytes_max);
  conn->set_deadline(clock_.now() + kBriefTimeout);
  const Result<bool> whole = co_await reader.read_head();
  if (!whole || !*whole) co_return Result<>();
  HttpRequest request;
  request.peer = conn->peer_address();
  request.head = std::move(reader.request_head());
  const bool to_head = request.head.method == "HEAD";
  const bool health = !limits_.health_path.empty() && request.path() == limits_.health_path;
  HttpResponse response;
  if (health && reader.body_done()) {
    response = co_await handler_(std::move(request));
  } else {
    response = error_body_(Error::unavailable("too many connections"));
  }
  std::string text;
  append_response(response, false, to_head, text);
  const LingerLimits limits{.silence_max = kBriefTimeout, .bytes_max = 1024 * 1024};
  if (co_await send(*conn, clock_, limits_, std::move(text))) {
    co_await linger(*conn, input, clock_, limits);
  }
  co_return Result<>();
}

Task<void> HttpServer::stop(Duration drain) {
  ending_->begun = true;
  co_await listeners_.stop();
  // Unless a request has come that was not read yet.
  for (Conn* conn : ending_->idle) {
    if (conn->is_clean()) conn->close();
  }
  const TimePoint end = clock_.now() + drain;
  while (connections_.running() > 0 && clock_.now() < end) {
    if (!co_await clock_.sleep_for(10ms)) break;
  }
  co_await connections_.stop();
}

}  // namespace mesclun
