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
  FrontConnection(ConnPtr conn, Front& front, const StatusPages& pages, bool only_pages)
      : caller_(std::move(conn), front), front_(front), pages_(pages), only_pages_(only_pages) {}

  Task<Result<>> run();

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
};

}  // namespace mesclun::companion
