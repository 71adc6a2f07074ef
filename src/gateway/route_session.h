// Keeps the route table up to date: a session with the cloud, dialled again whenever it breaks.
#pragma once

#include "base/random.h"
#include "gateway/route_table.h"
#include "link/dialer.h"

namespace mesclun::gateway {

struct RouteSessionSettings {
  std::string name;             // of this gateway, for people
  std::string gateway_token;    // lets it in
  std::string tunnel_endpoint;  // where agents dial it
  Duration heartbeat = 5s;      // we speak at least this often
  Duration silence_max = 20s;   // the cloud speaks at least this often, or the session is given up
  Duration backoff_min = 200ms;
  Duration backoff_max = 5s;
};

// Runs on: the gateway's loop. The table keeps what it has while the cloud is away.
class RouteSession {
 public:
  RouteSession(const asio::any_io_executor& executor, Clock& clock, Random& random,
               RouteSessionSettings settings, link::Dialer& cloud, RouteTable& table);

  // Until cancelled.
  Task<Result<>> run();
  bool connected() const { return connected_; }

 private:
  Task<Result<>> run_once();
  Task<Result<>> speak(link::Session& session);
  Task<Result<>> carry(link::Session& session);

  Clock& clock_;
  Random& random_;
  const RouteSessionSettings settings_;
  link::Dialer& cloud_;
  RouteTable& table_;
  asio::any_io_executor executor_;
  bool connected_ = false;
};

}  // namespace mesclun::gateway
