// Keeps a session with the cloud: dials, converses, and begins again when it broke.
#pragma once

#include <functional>

#include "link/conversation.h"
#include "link/dialer.h"
#include "link/redial.h"

namespace mesclun::link {

// Runs on:  one loop. There is always a next try: who has lost the cloud keeps what it has.
// Time:     a dial has 10 s; redial.h says when the next one is.
// Lifetime: the parts outlive run().
class SessionKeeper {
 public:
  // One conversation on the dialling end, from its hello on; it calls stands() once it is let in.
  using Body = std::function<Task<Result<>>(Session&)>;

  // `area` is who says it in the log.
  SessionKeeper(std::string area, Clock& clock, Random& random, Dialer& dialer,
                RedialSettings settings);

  // Until cancelled.
  Task<Result<>> run(Body body);
  void stands(const Session& session);

  // For people: "connected", or what went wrong last.
  const std::string& state() const { return state_; }

 private:
  Task<Result<>> dial_and_converse(const Body& body);
  Duration after(const Error& error);

  const std::string area_;
  Clock& clock_;
  Random& random_;
  Dialer& dialer_;
  Redial redial_;
  std::string state_ = "not connected yet";
};

}  // namespace mesclun::link
