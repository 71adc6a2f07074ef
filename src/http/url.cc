#include "http/url.h"

#include <functional>

#include <fmt/format.h>

#include <algorithm>

#include "base/tls_conn.h"
#include "http/message.h"

namespace mesclun {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

void HttpUrl::append_path(std::string_view path) {
  while (target.ends_with('/')) target.pop_back();
  target += path;
}

Result<HttpUrl> parse_http_url(std::string_view text, UrlScheme scheme) {
  const auto bad = [&](std::string_view why) {
    return Error::invalid(fmt::format("'{}' {}: write http://HOST[:PORT][/PATH] or https://...",
                                      text.substr(0, 128), why));
  };
  HttpUrl url;
  std::string_view rest = text;
  const size_t colon = text.find("://");
  if (colon != std::string_view::npos && text.find_first_of("/?#") == colon + 1) {
    url.tls = iequals(text.substr(0, colon), "https");
    if (!url.tls && !iequals(text.substr(0, colon), "http"))
      return bad("is neither http nor https");
    rest.remove_prefix(colon + 3);
  } else if (scheme == UrlScheme::Required) {
    return bad("names no scheme");
  }
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
  if (!url.tls && url.endpoint.host.ends_with(".localhost")) url.endpoint.host = "localhost";
  if (path != std::string_view::npos) url.target = rest.substr(path);
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  return url;
}

Task<Result<ConnPtr>> open_http(HttpUrl url, Clock& clock, Duration limit, AddressRule rule) {
  const TimePoint end = clock.now() + limit;
  CO_TRY(ConnPtr conn, co_await dial(url.endpoint, clock, limit, rule));
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

std::optional<std::string> take_authority(std::string& target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!iequals(std::string_view(target).substr(0, scheme.size()), scheme)) continue;
    const size_t end = std::min(target.find_first_of("/?", scheme.size()), target.size());
    std::string host = target.substr(scheme.size(), end - scheme.size());
    target.erase(0, end);
    if (!target.starts_with('/')) target.insert(0, "/");
    return host;
  }
  return std::nullopt;
}

std::string_view target_path(std::string_view target) {
  return target.substr(0, target.find('?'));
}

namespace {

// The values of a parameter, not decoded yet, to `take` until it has enough.
void for_each_value(std::string_view target, std::string_view name,
                    const std::function<bool(std::string_view)>& take) {
  std::string_view rest = target;
  const size_t mark = rest.find('?');
  if (mark == std::string_view::npos) return;
  rest.remove_prefix(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    if (!take(pair.substr(std::min(equals + 1, pair.size())))) return;
  }
}

}  // namespace

std::optional<std::string> target_query(std::string_view target, std::string_view name) {
  std::optional<std::string> found;
  for_each_value(target, name, [&](std::string_view text) {
    found = percent_decode(text, true);
    return false;
  });
  return found;
}

Result<std::vector<std::string>> target_query_all(std::string_view target, std::string_view name) {
  std::vector<std::string> found;
  bool broken = false;
  for_each_value(target, name, [&](std::string_view text) {
    std::optional<std::string> value = percent_decode(text, true);
    broken = !value;
    if (value) found.push_back(*std::move(value));
    return !broken;
  });
  if (broken) return Error::invalid(fmt::format("a broken escape in the parameter {}", name));
  return found;
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

std::string percent_encode(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace mesclun
