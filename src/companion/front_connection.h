// One connection of a caller: its requests one after the other.
#pragma once

#include "companion/caller.h"
#include "companion/status_pages.h"

namespace mesclun::companion {

// Runs on:   the front's loop.
// Lifetime:  the front and the pages outlive it.
class FrontConnection {
 public:
  // `only_pages`: there is no room for more than a question about health.
  FrontConnection(IdleConns::Entry entry, Front& front, const StatusPages& pages, bool only_pages)
      : caller_(std::move(entry), front), front_(front), pages_(pages), only_pages_(only_pages) {}

  // Until the connection is over, or its caller asks nothing more for a while: then `rests_until()` says
  // how long that may last, and take_rest() has the connection.
  Task<Result<>> run();
  std::optional<TimePoint> rests_until() const { return rests_until_; }
  IdleConns::Entry take_rest() { return caller_.take_rest(); }

 private:
  Task<Next> serve_request();
  Task<bool> wait_until_started();
  Task<void> until_started();
  Task<Next> serve_page(StatusPage page);
  Task<Next> serve_direct();
  bool is_direct();

  Caller caller_;
  Front& front_;
  const StatusPages& pages_;
  const bool only_pages_;
  std::optional<TimePoint> rests_until_;
};

}  // namespace mesclun::companion
