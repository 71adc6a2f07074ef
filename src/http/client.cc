#include "http/client.h"

#include "base/race.h"
#include "http/parser.h"

namespace mesclun {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;

Error status_error(const HttpReply& reply) {
  const std::string what = fmt::format("the server answered {} {}", reply.status,
                                       std::string_view(reply.body).substr(0, 200));
  if (reply.status == 401) return {ErrorCode::Unauthenticated, what};
  if (reply.status == 403) return {ErrorCode::PermissionDenied, what};
  return Error::unavailable(what);
}

// Reads a response into `reply`; leaves what follows it in `rest`.
Task<Result<>> read_reply(Conn& conn, bool to_head, size_t body_bytes_max, HttpReply& reply,
                          bool& keep_alive, std::string& rest) {
  char chunk[16 * 1024];
  while (true) {
    HttpParser parser = HttpParser::response(kHeadBytesMax, to_head);
    while (true) {
      CO_TRY(const HttpParser::Step step, parser.parse_head(rest));
      rest.erase(0, step.consumed);
      if (step.done) break;
      CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(chunk)));
      if (n == 0) co_return Error::unavailable("the server closed the connection");
      rest.append(chunk, n);
    }
    const int status = parser.response_head().status;
    if (status / 100 == 1 && status != 101) continue;  // 100 Continue and friends
    reply.status = status;
    reply.headers = std::move(parser.response_head().headers);
    std::vector<std::string_view> pieces;
    while (!parser.body_done()) {
      pieces.clear();
      CO_TRY(const HttpParser::Step step, parser.parse_body(rest, pieces));
      for (std::string_view piece : pieces) reply.body.append(piece);
      rest.erase(0, step.consumed);
      if (reply.body.size() > body_bytes_max) {
        co_return Error{ErrorCode::OutOfRange,
                        fmt::format("the answer is larger than {} bytes", body_bytes_max)};
      }
      if (step.done) break;
      CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(chunk)));
      if (n == 0) {
        CO_TRY_DO(parser.end_of_stream());
        break;
      }
      rest.append(chunk, n);
    }
    keep_alive = parser.keep_alive() && rest.empty();
    co_return Result<>();
  }
}

Task<Result<>> write_call(Conn& conn, const HttpCall& call, const std::string& host) {
  RequestHead head;
  head.method = call.method;
  head.target = call.target;
  head.headers = call.headers;
  if (!head.headers.has("Host")) head.headers.add("Host", host);
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT" ||
      call.method == "PATCH") {
    head.headers.set("Content-Length", std::to_string(call.body.size()));
  }
  std::string text;
  write_head(head, text);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(text), asio::buffer(call.body)};
  co_return co_await conn.write(buffers);
}

bool safe_to_repeat(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

}  // namespace

Task<Result<HttpReply>> http_call(Conn& conn, HttpCall call, std::string host,
                                  size_t body_bytes_max, bool& keep_alive) {
  CO_TRY_DO(co_await write_call(conn, call, host));
  HttpReply reply;
  std::string rest;
  CO_TRY_DO(
      co_await read_reply(conn, call.method == "HEAD", body_bytes_max, reply, keep_alive, rest));
  co_return reply;
}

Task<Result<ConnPtr>> http_upgrade(ConnPtr conn, std::string host, std::string target,
                                   std::string protocol, HeaderList headers) {
  HttpCall call{.method = "GET", .target = std::move(target), .headers = std::move(headers)};
  call.headers.set("Connection", "Upgrade");
  call.headers.set("Upgrade", protocol);
  CO_TRY_DO(co_await write_call(*conn, call, host));
  HttpReply reply;
  std::string rest;
  bool keep_alive = false;
  CO_TRY_DO(co_await read_reply(*conn, false, 64 * 1024, reply, keep_alive, rest));
  if (reply.status != 101) co_return status_error(reply);
  co_return with_read_ahead(std::move(conn), std::move(rest));
}

Task<Result<HttpReply>> HttpClient::call(HttpCall call) {
  bool was_reused = false;
  HttpCall again = call;
  Result<HttpReply> reply = co_await call_once(std::move(call), was_reused);
  if (!reply && was_reused && reply.code() == ErrorCode::Unavailable &&
      safe_to_repeat(again.method)) {
    co_return co_await call_once(std::move(again), was_reused);
  }
  co_return reply;
}

Task<Result<HttpReply>> HttpClient::call_once(HttpCall call, bool& was_reused) {
  was_reused = conn_ != nullptr;
  if (!was_reused) {
    CO_TRY(conn_, co_await dial(endpoint_, clock_, timeout_));
  }
  bool keep_alive = false;
  conn_->set_deadline(clock_.now() + timeout_);
  const std::string host = endpoint_.is_unix ? "localhost" : endpoint_.to_string();
  Result<HttpReply> reply =
      co_await http_call(*conn_, std::move(call), host, body_bytes_max_, keep_alive);
  if (!reply || !keep_alive) conn_.reset();
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(
        fmt::format("no answer from {} within {} ms", endpoint_.to_string(), to_millis(timeout_)));
  }
  co_return reply;
}

}  // namespace mesclun
