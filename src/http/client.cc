#include "http/client.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/race.h"
#include "base/service.h"
#include "http/forward.h"

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

std::string head_of(const HttpCall& call, std::string_view host) {
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
  return text;
}

// Without the first `sent` bytes. Goes on until it is cancelled: a server that refuses may close its
// side, and its answer is what counts.
Task<void> send_rest(Conn& conn, std::string_view head, std::string_view body, size_t sent,
                     bool& whole) {
  const size_t of_head = std::min(sent, head.size());
  head.remove_prefix(of_head);
  body.remove_prefix(sent - of_head);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  const Result<> written = co_await conn.write(buffers);
  whole = written.has_value();
  co_await until_cancelled();
}

}  // namespace

Task<Result<HttpReply>> http_call(Conn& conn, HttpCall call, std::string host,
                                  size_t body_bytes_max, bool& keep_alive) {
  const std::string head = head_of(call, host);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(call.body)};
  ConnInput input(conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, call.method == "HEAD");
  HttpReply reply;
  // Most calls go at once. Beside the others the answer is awaited: a server may refuse before it
  // has read all of the call, and read no more.
  const size_t sent = conn.write_now(buffers);
  bool whole = sent == head.size() + call.body.size();
  if (whole) {
    CO_TRY_DO(co_await read_reply(reader, body_bytes_max, reply));
  } else {
    std::optional<Result<>> read;
    co_await race(send_rest(conn, head, call.body, sent, whole),
                  detail::store_result(read_reply(reader, body_bytes_max, reply), read));
    if (!read) co_return Error::cancelled();
    CO_TRY_DO(*read);
  }
  keep_alive = whole && reader.connection_reusable();
  co_return reply;
}

Task<Result<>> http_begin(Conn& conn, const HttpCall& call, std::string_view host,
                          HttpReader& answer) {
  const std::string head = head_of(call, host);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(call.body)};
  CO_TRY_DO(co_await conn.write(buffers));
  CO_TRY(const bool whole, co_await answer.read_final_head());
  if (!whole) co_return Error::unavailable("the server closed the connection");
  co_return Result<>();
}

Task<Result<int>> http_status_of(Conn& conn, HttpCall call, std::string host) {
  ConnInput input(conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, call.method == "HEAD");
  CO_TRY_DO(co_await http_begin(conn, call, host, reader));
  co_return reader.response_head().status;
}

std::string basic_authorization(std::string_view user, std::string_view password) {
  return "Basic " + base64(fmt::format("{}:{}", user, password));
}

Task<Result<ConnPtr>> http_upgrade(ConnPtr conn, std::string host, std::string target,
                                   std::string protocol, HeaderList headers) {
  HttpCall call{.method = "GET", .target = std::move(target), .headers = std::move(headers)};
  call.headers.set("Connection", "Upgrade");
  call.headers.set("Upgrade", protocol);
  const std::string head = head_of(call, host);
  CO_TRY_DO(co_await conn->write(head));
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
