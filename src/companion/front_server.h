// Listens for callers.
#pragma once

#include "base/scope.h"
#include "base/socket_conn.h"
#include "companion/front.h"
#include "companion/status_pages.h"
#include "http/brief_room.h"
#include "http/idle_conns.h"

namespace mesclun::companion {

// ":8000" listens on IPv6 and IPv4, or on IPv4 alone where there is no IPv6.
Result<Listener> listen_on(const asio::any_io_executor& executor, std::string_view text);

// Runs on: the front's loop. At most front.connections_max at a time; one that only rests makes room.
// Those beyond are asked what they want: health has room of its own, all else is refused.
class FrontServer {
 public:
  FrontServer(const asio::any_io_executor& executor, Front& front, const StatusPages& pages);
  void serve(Listener listener);
  // A connection that somebody else took.
  void accept(ConnPtr conn);
  // All that are open, and those of them that wait for a request without a task of their own.
  size_t connections() const { return connections_.running() + idle_.size(); }
  size_t resting() const { return idle_.size(); }
  Task<void> stop_listening() { co_await listeners_.stop(); }
  Task<void> stop();

 private:
  Task<Result<>> accept_loop(std::shared_ptr<Listener> listener);
  // Without a task until the caller has said something.
  void rest(IdleConns::Entry entry, TimePoint until);
  Task<Result<>> serve_connection(IdleConns::Entry entry);
  Task<Result<>> serve_pages(ConnPtr conn);

  Front& front_;
  const StatusPages& pages_;
  IdleConns idle_;
  BriefRoom beyond_;
  Scope listeners_;
  Scope connections_;
};

// A listener for the status pages alone (metrics.listen).
Task<Result<>> serve_status_pages(Listener listener, Clock& clock, const StatusPages& pages);

}  // namespace mesclun::companion
