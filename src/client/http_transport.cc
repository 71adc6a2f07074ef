#include "client/http_transport.h"

#include <fmt/format.h>

namespace mesclun::client {

namespace {

// The controller's limit bounds how many there are.
constexpr PoolLimits kPool{.idle_max = SIZE_MAX, .idle_for = 2s, .idle_for_unrepeatable = 2s};
// An address that does not answer must not cost the whole deadline; 5 s is two lost SYNs (1 + 2 s)
// and a slow third.
constexpr Duration kConnectMax = 5s;

}  // namespace

Task<Result<ConnPtr>> HttpTransport::open(TimePoint deadline) {
  const TimePoint now = clock_.now();
  pool_.drop_stale(kPool, now);
  if (ConnPtr kept = pool_.take(kPool, now)) co_return kept;
  const Duration limit = std::min(deadline - now, kConnectMax);
  if (limit <= 0s) co_return Error::deadline("no time left to connect");
  Result<ConnPtr> conn = co_await dial(endpoint_, clock_, limit);
  if (!conn && conn.code() != ErrorCode::Cancelled) {
    Error error = conn.error();
    error.cause = Cause::Unreachable;
    co_return error;
  }
  co_return conn;
}

Task<Result<HttpReply>> HttpTransport::send(HttpCall call, TimePoint deadline) {
  CO_TRY(ConnPtr conn, co_await open(deadline));
  conn->set_deadline(deadline);
  bool keep_alive = false;
  Result<HttpReply> reply =
      co_await http_call(*conn, std::move(call), host_, body_bytes_max_, keep_alive);
  if (reply && keep_alive) pool_.put(kPool, clock_.now(), std::move(conn));
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline("no answer in time");
  }
  co_return reply;
}

Result<HttpUrl> parse_http_address(std::string_view text) {
  TRY(HttpUrl url, parse_http_url(text, UrlScheme::HttpIfMissing));
  if (url.tls) {
    return Error::invalid(
        fmt::format("'{}': only http:// is supported; reach a TLS server through a local TLS proxy "
                    "or a tunnel",
                    text));
  }
  return url;
}

}  // namespace mesclun::client
