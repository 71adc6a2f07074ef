#include "runtime/docker/engine.h"

#include <fmt/format.h>

#include "runtime/docker/answer.h"

namespace mesclun::runtime {

namespace {

constexpr Duration kDialLimit = 10s;
// Of calls that change or tell something at once; a busy disk makes them slow.
constexpr Duration kCallLimit = 60s;
constexpr size_t kBodyBytesMax = 16 * 1024 * 1024;
constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr std::string_view kHost = "engine";

HttpCall to_http(EngineCall call) {
  HttpCall out{.method = std::move(call.method),
               .target = "/v1.41" + call.target,
               .headers = {},
               .body = std::move(call.body)};
  if (!out.body.empty()) out.headers.add("Content-Type", call.content_type);
  if (!call.registry_auth.empty()) out.headers.add("X-Registry-Auth", call.registry_auth);
  return out;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 400:
      return ErrorCode::InvalidArgument;
    case 404:
      return ErrorCode::NotFound;
    case 409:
      return ErrorCode::AlreadyExists;
    default:
      return ErrorCode::Internal;
  }
}

// {"message": "..."}
Error refusal(int status, std::string_view body) {
  std::string text;
  if (const Result<json::value> parsed = parse_json(body)) text = text_of(*parsed, "message");
  if (text.empty()) text = body.substr(0, 1000);
  return {code_of(status), text.empty() ? fmt::format("the engine answered {}", status) : text};
}

Result<json::value> understand(const Result<HttpReply>& reply) {
  if (!reply) return reply.error();
  // 304: it was so before.
  if (reply->status >= 400) return refusal(reply->status, reply->body);
  if (reply->body.empty()) return json::value();
  return parse_json(reply->body);
}

}  // namespace

EngineStream::EngineStream(ConnPtr conn)
    : conn_(std::move(conn)),
      input_(*conn_),
      reader_(HttpReader::response(input_, kHeadBytesMax, false)) {}

Task<Result<>> EngineStream::begin(const EngineCall& call) {
  CO_TRY_DO(co_await http_begin(*conn_, to_http(call), kHost, reader_));
  const int status = reader_.response_head().status;
  if (status < 400) co_return Result<>();
  std::string body;
  CO_TRY_DO(co_await reader_.read_whole_body(body, kBodyBytesMax));
  co_return refusal(status, body);
}

Task<Result<std::string>> EngineStream::read() {
  std::string out;
  std::vector<std::string_view> pieces;
  while (out.empty() && !done_) {
    pieces.clear();
    CO_TRY(done_, co_await reader_.read_body(pieces));
    for (const std::string_view piece : pieces) out += piece;
  }
  co_return out;
}

Engine::Engine(Clock& clock, Endpoint socket)
    : clock_(clock),
      socket_(socket),
      client_(clock, std::move(socket), kCallLimit, kBodyBytesMax) {}

Task<Result<json::value>> Engine::call(EngineCall call) {
  co_return understand(co_await client_.call(to_http(std::move(call))));
}

Task<Result<json::value>> Engine::long_call(EngineCall call) {
  CO_TRY(const ConnPtr conn, co_await dial(socket_, clock_, kDialLimit));
  bool keep_alive = false;
  co_return understand(co_await http_call(*conn, to_http(std::move(call)), std::string(kHost),
                                          kBodyBytesMax, keep_alive));
}

Task<Result<std::unique_ptr<EngineStream>>> Engine::open(EngineCall call) {
  CO_TRY(ConnPtr conn, co_await dial(socket_, clock_, kDialLimit));
  auto stream = std::make_unique<EngineStream>(std::move(conn));
  stream->conn_->set_deadline(clock_.now() + kCallLimit);
  CO_TRY_DO(co_await stream->begin(call));
  stream->conn_->set_deadline(TimePoint::max());
  co_return stream;
}

Task<Result<json::value>> ask_engine(Engine& engine, Endpoint socket) {
  Result<json::value> known = co_await engine.call({.target = "/info"});
  if (known || known.code() == ErrorCode::Cancelled) co_return known;
  co_return Error::unavailable(fmt::format("no container engine answers at {}: {}",
                                           socket.to_string(), known.error().message));
}

}  // namespace mesclun::runtime
