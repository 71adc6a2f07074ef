#include "http/client.h"

#include <fmt/format.h>

#include "http/forward.h"
#include "http/reader.h"

namespace mesclun {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr size_t kUpgradeBodyBytesMax = 64 * 1024;  // of an answer that refuses

Error status_error(const HttpReply& reply) {
  const std::string what = fmt::format("the server answered {} {}", reply.status,
                                       std::string_view(reply.body).substr(0, 200));
  if (reply.status == 401) return {ErrorCode::Unauthenticated, what};
  if (reply.status == 403) return {ErrorCode::PermissionDenied, what};
  return Error::unavailable(what);
}

Task<Result<>> read_reply(HttpReader& reader, size_t body_bytes_max, HttpReply& reply) {
  CO_TRY(const bool whole, co_await reader.read_final_head());
  if (!whole) co_return Error::unavailable("the server closed the connection");
  reply.status = reader.response_head().status;
  reply.headers = std::move(reader.response_head().headers);
  co_return co_await reader.read_whole_body(reply.body, body_bytes_max);
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

}  // namespace

Task<Result<HttpReply>> http_call(Conn& conn, HttpCall call, std::string host,
                                  size_t body_bytes_max, bool& keep_alive) {
  CO_TRY_DO(co_await write_call(conn, call, host));
  ConnInput input(conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, call.method == "HEAD");
  HttpReply reply;
  CO_TRY_DO(co_await read_reply(reader, body_bytes_max, reply));
  keep_alive = reader.connection_reusable();
  co_return reply;
}

Task<Result<ConnPtr>> http_upgrade(ConnPtr conn, std::string host, std::string target,
                                   std::string protocol, HeaderList headers) {
  HttpCall call{.method = "GET", .target = std::move(target), .headers = std::move(headers)};
  call.headers.set("Connection", "Upgrade");
  call.headers.set("Upgrade", protocol);
  CO_TRY_DO(co_await write_call(*conn, call, host));
  ConnInput input(*conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, false);
  HttpReply reply;
  CO_TRY_DO(co_await read_reply(reader, kUpgradeBodyBytesMax, reply));
  if (reply.status != 101) co_return status_error(reply);
  co_return with_read_ahead(std::move(conn), input.take_rest());
}

Task<Result<HttpReply>> HttpClient::call(HttpCall call) {
  bool was_reused = false;
  HttpCall again = call;
  Result<HttpReply> reply = co_await call_once(std::move(call), was_reused);
  if (!reply && was_reused && reply.code() == ErrorCode::Unavailable &&
      is_idempotent(again.method)) {
    co_return co_await call_once(std::move(again), was_reused);
  }
  co_return reply;
}

Task<Result<HttpReply>> HttpClient::call_once(HttpCall call, bool& was_reused) {
  ConnPtr conn = pool_.take(kKeepAlways, clock_.now());
  was_reused = conn != nullptr;
  if (!was_reused) {
    CO_TRY(conn, co_await dial(endpoint_, clock_, timeout_));
  }
  bool keep_alive = false;
  conn->set_deadline(clock_.now() + timeout_);
  const std::string host = endpoint_.is_unix ? "localhost" : endpoint_.to_string();
  Result<HttpReply> reply =
      co_await http_call(*conn, std::move(call), host, body_bytes_max_, keep_alive);
  if (reply && keep_alive) pool_.put(kKeepAlways, clock_.now(), std::move(conn));
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(
        fmt::format("no answer from {} within {} ms", endpoint_.to_string(), to_millis(timeout_)));
  }
  co_return reply;
}

}  // namespace mesclun
