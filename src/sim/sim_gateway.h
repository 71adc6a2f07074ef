// A gateway without its clients: a real session with the cloud, and the real table of what it would
// serve.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "gateway/route_session.h"
#include "sim/network.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class SimGateway final : private link::Dialer {
 public:
  // `peer` is its number in the network.
  SimGateway(size_t peer, const asio::any_io_executor& executor, Clock& clock, Random& random,
             Network& network, std::string token);
  ~SimGateway() override;

  // Nothing if it runs.
  void boot();
  // What it knew is gone.
  Task<void> end();

  size_t peer() const { return peer_; }
  const std::string& name() const { return name_; }
  // The cloud has told it everything since its session began.
  bool connected() const;
  // What it would serve now, by host; nothing while it is down.
  std::map<std::string, link::Route> routes() const;

 private:
  // Of its process.
  struct Life;
  Task<Result<link::SessionPtr>> dial() override {
    return network_.dial(peer_, Network::Door::Gateways);
  }

  const size_t peer_;
  const std::string name_;
  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  Network& network_;
  const std::string token_;
  std::unique_ptr<Life> life_;
};

}  // namespace mesclun::sim
