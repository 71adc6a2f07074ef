// Addresses of services, as people write them in settings, http://host:port/path; and the parts of
// a request's target.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_conn.h"

namespace mesclun {

struct HttpUrl {
  bool tls = false;
  Endpoint endpoint;         // names under .localhost are this machine (RFC 6761 §6.3)
  std::string authority;     // for the Host header: without the scheme's own port
  std::string target = "/";  // path and query, as written; the fragment is dropped

  // Of a service under this address, which may end with a slash: "/v1/x" under "/a/" is "/a/v1/x".
  void append_path(std::string_view path);
};

enum class UrlScheme { Required, HttpIfMissing };

// InvalidArgument says what is wrong. A URL with a user name is refused: it would not be sent.
Result<HttpUrl> parse_http_url(std::string_view text, UrlScheme scheme = UrlScheme::Required);

// Connects, with TLS for https, all within `limit`. Straight to the host: no proxy of the
// environment is ever used. `rule` as in dial(): is_public_address for what a tenant named.
Task<Result<ConnPtr>> open_http(HttpUrl url, Clock& clock, Duration limit,
                                AddressRule rule = nullptr);

// Takes scheme and host off an absolute target, "http://host/path", and returns the host; nothing
// for any other target.
std::optional<std::string> take_authority(std::string& target);
// The target up to the '?'.
std::string_view target_path(std::string_view target);
// The value of a query parameter, decoded.
std::optional<std::string> target_query(std::string_view target, std::string_view name);
// All of them, in order. InvalidArgument: a broken escape.
Result<std::vector<std::string>> target_query_all(std::string_view target, std::string_view name);

// "a%20b" to "a b"; nothing for a broken escape.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
// Everything but letters, digits and -._~ (RFC 3986 §2.3).
std::string percent_encode(std::string_view text, bool keep_slash = false);

}  // namespace mesclun
