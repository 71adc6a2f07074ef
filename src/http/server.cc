#include "http/server.h"

#include "http/parser.h"

namespace mesclun {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What is read but not yet used, across the requests of one connection.
struct ReadBuffer {
  std::string bytes;

  Task<Result<bool>> fill(Conn& conn) {  // false at the end of the stream
    char chunk[16 * 1024];
    CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(chunk)));
    bytes.append(chunk, n);
    co_return n > 0;
  }
};

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
Task<Result<>> refuse(Conn& conn, Clock& clock, const HttpLimits& limits,
                      const HttpErrorBody& error_body, Error error, int status = 0) {
  HttpResponse response = error_body(error);
  if (status != 0) response.status = status;
  std::string text;
  append_response(response, false, false, text);
  CO_TRY_DO(co_await send(conn, clock, limits, std::move(text)));
  conn.shutdown_write();
  // Give the client a moment to read the answer: closing with unread input would reset the
  // connection.
  conn.set_deadline(clock.now() + 1s);
  char sink[4096];
  for (int i = 0; i < 64; ++i) {
    const auto n = co_await conn.read_some(asio::buffer(sink));
    if (!n || *n == 0) break;
  }
  co_return Result<>();
}

Task<Result<>> read_body(Conn& conn, ReadBuffer& input, HttpParser& parser, size_t body_bytes_max,
                         std::string& body) {
  const BodyFraming framing = parser.framing();
  if (framing.kind == BodyFraming::Kind::Length && framing.length > body_bytes_max) {
    co_return Error{ErrorCode::OutOfRange,
                    fmt::format("the body is larger than {} bytes", body_bytes_max)};
  }
  std::vector<std::string_view> pieces;
  while (!parser.body_done()) {
    pieces.clear();
    CO_TRY(const HttpParser::Step step, parser.parse_body(input.bytes, pieces));
    for (std::string_view piece : pieces) body.append(piece);
    input.bytes.erase(0, step.consumed);
    if (body.size() > body_bytes_max) {
      co_return Error{ErrorCode::OutOfRange,
                      fmt::format("the body is larger than {} bytes", body_bytes_max)};
    }
    if (step.done) break;
    CO_TRY(const bool more, co_await input.fill(conn));
    if (!more) co_return parser.end_of_stream();
  }
  co_return Result<>();
}

}  // namespace

std::string_view HttpRequest::path() const {
  const std::string_view target = head.target;
  return target.substr(0, target.find('?'));
}

std::optional<std::string> HttpRequest::query(std::string_view name) const {
  std::string_view rest = head.target;
  const size_t mark = rest.find('?');
  if (mark == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    return percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
  }
  return std::nullopt;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

Task<Result<>> serve_http(ConnPtr conn, Clock& clock, HttpLimits limits,
                          std::function<Task<HttpResponse>(HttpRequest)> handler,
                          HttpErrorBody error_body) {
  ReadBuffer input;
  while (true) {
    // Waiting for a request is patient; once its first byte is here, its head is not.
    if (input.bytes.empty()) {
      conn->set_deadline(clock.now() + limits.idle_timeout);
      const Result<bool> more = co_await input.fill(*conn);
      if (!more || !*more) co_return Result<>();
    }
    conn->set_deadline(clock.now() + limits.head_timeout);
    HttpParser parser = HttpParser::request(limits.head_bytes_max);
    while (true) {
      Result<HttpParser::Step> step = parser.parse_head(input.bytes);
      if (!step) {
        co_return co_await refuse(*conn, clock, limits, error_body, step.error());
      }
      input.bytes.erase(0, step->consumed);
      if (step->done) break;
      Result<bool> more = co_await input.fill(*conn);
      if (!more && more.code() == ErrorCode::DeadlineExceeded) {
        co_return co_await refuse(*conn, clock, limits, error_body,
                                  Error::deadline("the request head came too slowly"), 408);
      }
      if (!more || !*more) co_return Result<>();
    }

    HttpRequest request;
    request.peer = conn->peer_address();
    request.head = std::move(parser.request_head());
    const bool to_head = request.head.method == "HEAD";
    const bool keep_alive = parser.keep_alive();
    conn->set_deadline(clock.now() + limits.body_timeout);
    if (!parser.body_done() && request.head.headers.has_token("Expect", "100-continue")) {
      CO_TRY_DO(co_await conn->write("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    const Result<> body =
        co_await read_body(*conn, input, parser, limits.body_bytes_max, request.body);
    if (!body) {
      if (body.code() == ErrorCode::Unavailable) co_return Result<>();
      const int status = body.code() == ErrorCode::DeadlineExceeded ? 408 : 0;
      co_return co_await refuse(*conn, clock, limits, error_body, body.error(), status);
    }

    conn->set_deadline(TimePoint::max());
    HttpResponse response = co_await handler(std::move(request));
    if (co_await cancel_requested()) co_return Error::cancelled();
    std::string text;
    append_response(response, keep_alive, to_head, text);
    const Result<> sent = co_await send(*conn, clock, limits, std::move(text));
    if (!sent) co_return Result<>();  // the client left; nothing of ours broke
    if (response.upgrade) {
      conn->set_deadline(TimePoint::max());
      response.upgrade(with_read_ahead(std::move(conn), std::move(input.bytes)));
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
      listeners_(executor, name + " listeners"),
      connections_(executor, name + " connections") {}

void HttpServer::serve(Listener listener) {
  listeners_.spawn(accept_loop(std::make_shared<Listener>(std::move(listener))));
}

void HttpServer::serve(ConnPtr conn) {
  connections_.spawn(serve_http(std::move(conn), clock_, limits_, handler_, error_body_));
}

Task<Result<>> HttpServer::accept_loop(std::shared_ptr<Listener> listener) {
  while (true) {
    Result<ConnPtr> conn = co_await listener->accept(clock_);
    if (!conn) co_return conn.error();
    if (connections_.running() >= limits_.connections_max) {
      // Refused without a task of its own, so that a flood costs a write and a close.
      HttpResponse response = error_body_(Error::unavailable("too many connections"));
      std::string text;
      append_response(response, false, false, text);
      (*conn)->set_deadline(clock_.now() + 100ms);
      const Result<> sent = co_await (*conn)->write(text);
      static_cast<void>(sent);
      continue;
    }
    serve(std::move(*conn));
  }
}

Task<void> HttpServer::stop() {
  co_await listeners_.stop();
  co_await connections_.stop();
}

}  // namespace mesclun
