// The way from a request to an instance: a place there, and a stream.
#pragma once

#include "gateway/request.h"

namespace mesclun::gateway {

// Runs on:  the gateway's loop.
// Promise:  a failure to connect is tried at other instances first; no byte has reached those.
class InstanceReach {
 public:
  explicit InstanceReach(Request& request) : request_(request) {}

  // True if nothing must be waited for; a place is kept if only that was at hand.
  bool at_once();
  // 502 to 504, 410, or nobody.
  Task<MaybeRefusal> reach();
  // A fresh stream to the same instance, for an idle one that turned out to be closed.
  Task<MaybeRefusal> reopen();

  // Once reached, until this is destroyed or the stream is kept: two tasks may be inside it.
  link::TunnelStream& stream() { return *stream_; }
  // The stream has carried requests before.
  bool reused() const { return reused_; }
  void abort() {
    if (stream_) stream_->abort();
  }

  enum class Leaving {
    Keep,   // the stream may carry another request
    Close,  // in good order
    Abort,
  };
  // Gives up the place.
  void leave(Leaving how);

 private:
  Task<MaybeRefusal> admit();
  Task<MaybeRefusal> wait_for_slot();
  bool take_idle_stream();

  Request& request_;
  std::vector<std::string> tried_;  // instances that took no connection
  std::optional<InFlight> slot_;
  link::TunnelStreamPtr stream_;
  bool reused_ = false;
};

}  // namespace mesclun::gateway
