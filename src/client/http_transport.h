// Attempts over HTTP/1.1 to one server, over connections that stay open between them.
#pragma once

#include <deque>

#include "client/traffic_client.h"

namespace mesclun::client {

// One connection per attempt under way, so the controller's limit bounds them. The one that was
// used last is used next; those that were idle for 2 s are closed, because common servers close
// theirs after 2 to 5 s and a request that meets the close is lost. There is no hidden repetition:
// a kept connection that breaks is a broken attempt, and the budget pays for the next.
class HttpTransport final : public Transport {
 public:
  HttpTransport(Clock& clock, Endpoint endpoint, std::string host,
                size_t body_bytes_max = 64 * 1024 * 1024)
      : clock_(clock),
        endpoint_(std::move(endpoint)),
        host_(std::move(host)),
        body_bytes_max_(body_bytes_max) {}

  Task<Result<HttpReply>> send(HttpCall call, TimePoint deadline) override;
  size_t idle() const { return idle_.size(); }

 private:
  struct Idle {
    ConnPtr conn;
    TimePoint since;
  };

  Task<Result<ConnPtr>> open(TimePoint deadline);

  Clock& clock_;
  const Endpoint endpoint_;
  const std::string host_;  // the Host header
  const size_t body_bytes_max_;
  std::deque<Idle> idle_;  // oldest first
};

// What stands behind http://HOST:PORT/PATH. Names under .localhost are this machine (RFC 6761), and
// stay the Host header: a local group is reached as http://NAME.localhost:8801/.
struct HttpAddress {
  Endpoint endpoint;
  std::string host;
  std::string target;
};
Result<HttpAddress> parse_http_address(std::string_view url);

}  // namespace mesclun::client
