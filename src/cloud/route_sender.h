// Tells one gateway of routes and keys: all of them first, then those that changed.
#pragma once

#include "cloud/accounts.h"
#include "cloud/fleet_loop.h"
#include "link/parts.h"
#include "link/session.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Promise:  the gateway gets the newest of everything that was marked, as it is stored, in updates
//           of link::kPartBytesMax; the update with which it has heard of all is complete. What
//           waits is names, each once, however often it changes.
// Errors:   a key or route that fits no frame is said in the log and left out.
// Lifetime: all of Parts outlives it.
class RouteSender {
 public:
  struct Parts {
    asio::any_io_executor executor;
    const Fleet& fleet;
    FleetLoop& loop;
    const Accounts& accounts;
    link::Session& session;
    const std::string& tunnel_secret;
  };
  explicit RouteSender(Parts parts) : parts_(std::move(parts)), changed_(parts_.executor) {}

  void mark_all();
  void mark_host(const std::string& host);
  void mark_key(const std::string& key_sha256);
  // Until the session takes no more; beside its pump.
  Task<Result<>> run();

 private:
  bool idle() const { return hosts_.empty() && keys_.empty() && !complete_due_; }
  link::RouteUpdate next_update();
  bool add_host(link::RouteUpdate& update, size_t& weight);
  bool add_key(link::RouteUpdate& update, size_t& weight);

  const Parts parts_;
  Notify changed_;
  std::set<std::string> hosts_;
  std::set<std::string> keys_;
  bool complete_due_ = false;
};

}  // namespace mesclun::cloud
