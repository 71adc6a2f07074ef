// Connections to the application: kept open between requests, TCP or a unix socket.
#pragma once

#include <functional>

#include "base/socket_conn.h"
#include "http/client.h"
#include "http/pool.h"

namespace mesclun::companion {

// Runs on: one loop. A kept connection on which the application has written or ended something is
// closed. One that ends in the very moment of its use may cost a request: it is made again if the
// application has read nothing of it, or if that does no harm.
class ApplicationLink {
 public:
  // A new connection within the limit; Unavailable: nobody listens.
  using Dial = std::function<Task<Result<ConnPtr>>(Duration limit)>;

  // `host`: for requests that bring no Host header of their own.
  ApplicationLink(Clock& clock, Dial dial, std::string host)
      : clock_(clock), dial_(std::move(dial)), host_(std::move(host)) {}
  ApplicationLink(Clock& clock, Endpoint endpoint);

  const std::string& host() const { return host_; }

  struct Leased {
    ConnPtr conn;
    bool reused = false;  // it may turn out to be closed by the application meanwhile
  };
  // An idle connection, else a new one. `fresh`: an idle one was closed, and they are all as old.
  // Unavailable: nobody listens.
  Task<Result<Leased>> lease(TimePoint deadline, bool fresh);
  // Whether a kept connection that broke has lost all that was written after the first `first`
  // bytes: then nobody has worked on it.
  Task<bool> is_unread(const Conn& conn, uint64_t first);
  // Gives back a connection that can carry another request.
  void give_back(ConnPtr conn);

  // A whole call. One that is idempotent, or of which nothing was read, is tried once more, on a
  // fresh connection, if a kept one broke before any answer.
  // DeadlineExceeded, Unavailable, InvalidArgument (an answer that is no HTTP), OutOfRange.
  Task<Result<HttpReply>> call(HttpCall call, TimePoint deadline, size_t body_bytes_max);

  // Whether somebody listens.
  Task<Result<>> probe(Duration limit);

 private:
  Task<Result<HttpReply>> call_once(HttpCall call, TimePoint deadline, size_t body_bytes_max,
                                    bool fresh, bool& repeatable);

  Clock& clock_;
  Dial dial_;
  std::string host_;
  ConnPool idle_;
};

}  // namespace mesclun::companion
