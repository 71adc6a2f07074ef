#include "client/http_transport.h"

namespace mesclun::client {

namespace {

constexpr Duration kIdleMax = 2s;
// An address that does not answer must not cost the whole deadline; 5 s is two lost SYNs (1 + 2 s)
// and a slow third.
constexpr Duration kConnectMax = 5s;

bool is_plain(char c) {
  return c > 0x20 && c < 0x7F;
}

}  // namespace

Task<Result<ConnPtr>> HttpTransport::open(TimePoint deadline) {
  const TimePoint now = clock_.now();
  while (!idle_.empty() && now - idle_.front().since > kIdleMax) idle_.pop_front();
  if (!idle_.empty()) {
    ConnPtr conn = std::move(idle_.back().conn);
    idle_.pop_back();
    co_return conn;
  }
  const Duration limit = std::min(deadline - now, kConnectMax);
  if (limit <= 0s) co_return Error::deadline("no time left to connect");
  Result<ConnPtr> conn = co_await dial(endpoint_, clock_, limit);
  if (!conn && conn.code() != ErrorCode::Cancelled) {
    Error error = conn.error();
    error.type = kNotConnected;
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
  if (reply && keep_alive) {
    conn->set_deadline(TimePoint::max());
    Idle idle{std::move(conn), clock_.now()};
    idle_.push_back(std::move(idle));
  }
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline("no answer in time");
  }
  co_return reply;
}

Result<HttpAddress> parse_http_address(std::string_view url) {
  const std::string_view whole = url;
  if (url.starts_with("https://")) {
    return Error::invalid(
        fmt::format("'{}': only http:// is supported; reach a TLS server through a local TLS proxy "
                    "or a tunnel",
                    whole));
  }
  if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else if (url.find("://") != std::string_view::npos) {
    return Error::invalid(fmt::format("'{}': write http://HOST:PORT/PATH", whole));
  }
  url = url.substr(0, url.find('#'));
  const size_t path = url.find_first_of("/?");
  HttpAddress address;
  address.host = std::string(url.substr(0, path));
  address.target = path == std::string_view::npos ? "/" : std::string(url.substr(path));
  if (address.target[0] == '?') address.target.insert(0, "/");
  if (!std::ranges::all_of(url, is_plain) || address.host.find('@') != std::string::npos) {
    return Error::invalid(
        fmt::format("'{}': write http://HOST:PORT/PATH, with anything else than "
                    "plain characters as %XX",
                    whole));
  }
  TRY(address.endpoint, parse_endpoint(address.host, 80));
  if (address.endpoint.host.ends_with(".localhost")) address.endpoint.host = "localhost";
  return address;
}

}  // namespace mesclun::client
