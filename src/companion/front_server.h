// Listens for callers.
#pragma once

#include "base/scope.h"
#include "base/socket_conn.h"
#include "companion/front.h"
#include "companion/status_pages.h"
#include "http/brief_room.h"

namespace mesclun::companion {

// ":8000" listens on IPv6 and IPv4, or on IPv4 alone where there is no IPv6.
Result<Listener> listen_on(const asio::any_io_executor& executor, std::string_view text);

// Runs on: the front's loop. At most front.connections_max at a time. Those beyond are asked what
// they want: health has room of its own, all else is refused.
class FrontServer {
 public:
  FrontServer(const asio::any_io_executor& executor, Front& front, const StatusPages& pages);
  void serve(Listener listener);
  // A connection that somebody else took.
  void accept(ConnPtr conn);
  Task<void> stop_listening() { co_await listeners_.stop(); }
  Task<void> stop();

 private:
  Task<Result<>> accept_loop(std::shared_ptr<Listener> listener);
  Task<Result<>> serve_connection(ConnPtr conn);
  Task<Result<>> serve_pages(ConnPtr conn);

  Front& front_;
  const StatusPages& pages_;
  BriefRoom beyond_;
  Scope listeners_;
  Scope connections_;
};

// A listener for the status pages alone (metrics.listen).
Task<Result<>> serve_status_pages(Listener listener, Clock& clock, const StatusPages& pages);

}  // namespace mesclun::companion
