// Keeps one tunnel up to every gateway that the cloud names.
#pragma once

#include <map>

#include "agent/tunnel_dialer.h"
#include "base/scope.h"
#include "link/redial.h"

namespace mesclun::agent {

// Runs on:  the agent's loop.
// Promise:  tunnels outlive the session that named them: traffic flows while the cloud is away.
// Lifetime: close() before destruction; clock, random and dialer outlive this object.
class TunnelKeeper {
 public:
  TunnelKeeper(const asio::any_io_executor& executor, Clock& clock, Random& random,
               TunnelDialer& dialer, link::RedialSettings settings, ConnectInstance connect);

  // All gateways there are, and the ticket for dials from now on.
  void update(const std::vector<std::string>& gateways, const std::string& ticket);
  size_t up() const;
  size_t wanted() const { return tunnels_.size(); }
  Task<void> close() { return scope_.stop(); }

 private:
  struct Tunnel {
    Tunnel(const asio::any_io_executor& executor, std::string g)
        : gateway(std::move(g)), changed(executor) {}
    const std::string gateway;
    Notify changed;
    bool dropped = false;
    bool up = false;
  };
  using TunnelPtr = std::shared_ptr<Tunnel>;

  Task<Result<>> keep(TunnelPtr tunnel);
  Task<Result<>> until_dropped(TunnelPtr tunnel);

  Clock& clock_;
  Random& random_;
  TunnelDialer& dialer_;
  const link::RedialSettings settings_;
  const ConnectInstance connect_;
  std::string ticket_;
  std::map<std::string, TunnelPtr> tunnels_;
  Scope scope_;
};

}  // namespace mesclun::agent
