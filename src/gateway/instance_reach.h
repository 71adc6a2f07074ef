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
  // To an instance that this request has not met; the one it has met ended it so. False: there is
  // none, and all is as before.
  Task<bool> move_on(Outcome outcome);
  // Instances met so far.
  size_t tries() const { return tried_.size() + (slot_ ? 1 : 0); }
  // That it is at; null: none.
  const Instance* instance() const { return slot_ ? &slot_->instance() : nullptr; }
  // How the request ended at the instance.
  void set_outcome(const Outcome& outcome) {
    if (slot_) slot_->set_outcome(outcome);
  }

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
  void place(InFlight slot);
  link::TunnelStreamPtr idle_stream_of(const InFlight& slot);
  bool take_idle_stream();
  Task<MaybeRefusal> open(const InFlight& slot, link::TunnelStreamPtr& stream);

  Request& request_;
  std::vector<std::string> tried_;  // instances to which it will not return
  std::optional<InFlight> slot_;
  link::TunnelStreamPtr stream_;
  bool reused_ = false;
};

}  // namespace mesclun::gateway
