// Addresses of services, as people write them in settings: http://host:port/path.
#pragma once

#include <string>
#include <string_view>

#include "base/socket_conn.h"

namespace mesclun {

struct HttpUrl {
  bool tls = false;
  Endpoint endpoint;
  std::string authority;     // for the Host header: without the scheme's own port
  std::string target = "/";  // path and query, as written; the fragment is dropped
};

// InvalidArgument says what is wrong. A URL with a user name is refused: it would not be sent.
Result<HttpUrl> parse_http_url(std::string_view text);

// Connects, with TLS for https, all within `limit`. Straight to the host: no proxy of the
// environment is ever used.
Task<Result<ConnPtr>> open_http(HttpUrl url, Clock& clock, Duration limit);

}  // namespace mesclun
