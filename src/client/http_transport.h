// Attempts over HTTP/1.1 to one server, over connections that stay open between them.
#pragma once

#include "client/traffic_client.h"
#include "http/pool.h"
#include "http/url.h"

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
  size_t idle() const { return pool_.size(); }

 private:
  Task<Result<ConnPtr>> open(TimePoint deadline);

  Clock& clock_;
  const Endpoint endpoint_;
  const std::string host_;  // the Host header
  const size_t body_bytes_max_;
  ConnPool pool_;
};

// "http://HOST:PORT/PATH", or without the scheme. A local group is reached as
// http://NAME.localhost:8801/.
Result<HttpUrl> parse_http_address(std::string_view text);

}  // namespace mesclun::client
