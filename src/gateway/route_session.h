// Keeps the route table up to date: a session with the cloud, dialled again whenever it breaks.
#pragma once

#include "gateway/usage_meter.h"
#include "link/session_keeper.h"

namespace mesclun::gateway {

struct RouteSessionSettings {
  std::string name;                // of this gateway, for people
  std::string gateway_token;       // lets it in
  std::string gateway_token_file;  // read again before each session; empty: there is none
  std::string tunnel_endpoint;     // where agents dial it
  Duration heartbeat = 5s;         // we speak at least this often
  Duration usage_period = 10s;     // how often it is told how instances are asked
  Duration silence_max = 20s;  // the cloud speaks at least this often, or the session is given up
  link::RedialSettings cloud{.back_off_max = 5s, .refused_wait = 30s};
};

// Runs on: the gateway's loop. The table keeps what it has while the cloud is away.
class RouteSession {
 public:
  RouteSession(Clock& clock, Random& random, RouteSessionSettings settings, link::Dialer& cloud,
               RouteTable& table);

  // Until cancelled.
  Task<Result<>> run();
  // The cloud has said everything since the session began.
  bool connected() const { return connected_; }

 private:
  Task<Result<>> talk(link::Session& session);
  Task<Result<>> listen(link::Session& session);
  Task<Result<>> speak(link::Session& session);
  Task<Result<>> tell_usage(link::Session& session);

  Clock& clock_;
  const RouteSessionSettings settings_;
  RouteTable& table_;
  UsageMeter usage_;
  link::SessionKeeper keeper_;
  bool connected_ = false;
};

}  // namespace mesclun::gateway
