// When a node that hears nothing from its cloud stops what it runs: the cloud has long put it elsewhere,
// and may not want it at all any more. Pure.
#pragma once

#include "base/clock.h"

namespace mesclun::agent {

// Counts steady time in which an agent looked and had no session: neither a step of the wall clock nor a
// machine that slept counts, nor does the time between two agents of one node.
class SilenceRule {
 public:
  // `so_far`: what an agent before this one had counted. A limit of zero: never.
  SilenceRule(Duration limit, Duration so_far, TimePoint now)
      : limit_(limit), silent_(so_far), looked_(now) {}

  struct Verdict {
    bool stop = false;  // all that runs; said again until there is a session
    bool save = false;  // silent(), for the agent after this one
  };
  Verdict look(bool connected, TimePoint now);

  Duration silent() const { return silent_; }
  // How often to look.
  Duration period() const;

 private:
  Duration limit_;
  Duration silent_;
  Duration saved_ = silent_;
  TimePoint looked_;
};

}  // namespace mesclun::agent
