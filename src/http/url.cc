#include "http/url.h"

#include <algorithm>

#include "base/tls_conn.h"
#include "http/message.h"

namespace mesclun {

namespace {

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error::invalid(fmt::format("'{}' {}: write http://HOST[:PORT][/PATH] or https://...",
                                      text.substr(0, 128), why));
  };
  HttpUrl url;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return bad("names no scheme");
  const std::string_view scheme = text.substr(0, colon);
  if (iequals(scheme, "https")) {
    url.tls = true;
  } else if (!iequals(scheme, "http")) {
    return bad("is neither http nor https");
  }
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t path = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, path);
  if (!is_plain(rest)) return bad("has blanks or characters that must be percent-encoded");
  if (authority.find('@') != std::string_view::npos) return bad("has a user name");
  if (authority.starts_with("unix:")) return bad("is not an address of a host");
  const uint16_t own_port = url.tls ? 443 : 80;
  Result<Endpoint> endpoint = parse_endpoint(authority, own_port);
  if (!endpoint) return bad("has no valid host and port");
  url.endpoint = *std::move(endpoint);
  url.authority = url.endpoint.to_string();
  if (url.endpoint.port == own_port) url.authority.resize(url.authority.rfind(':'));
  if (path != std::string_view::npos) url.target = rest.substr(path);
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  return url;
}

Task<Result<ConnPtr>> open_http(HttpUrl url, Clock& clock, Duration limit) {
  const TimePoint end = clock.now() + limit;
  CO_TRY(ConnPtr conn, co_await dial(url.endpoint, clock, limit));
  conn->set_deadline(end);
  if (!url.tls) co_return conn;
  Result<ConnPtr> tls =
      co_await tls_client(std::move(conn), url.endpoint.host, clock, end - clock.now());
  if (!tls && tls.code() != ErrorCode::Cancelled) {
    Error error = tls.error();
    error.message = fmt::format("{}: {}", url.authority, error.message);
    co_return error;
  }
  co_return tls;
}

}  // namespace mesclun
