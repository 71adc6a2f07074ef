// The numbers that a machine's owner may change; `mesclun agent --help` shows them.
#pragma once

#include "agent/log_shipper.h"
#include "agent/metadata_service.h"

namespace mesclun::agent {

struct AgentSettings {
  Duration stop_grace = 30s;  // from SIGTERM to SIGKILL
  HeaderRule metadata_header = HeaderRule::Strict;
  // From an instance's own restart, recreate or reallocate call to the deed: its answer must get
  // through first.
  Duration action_delay = 500ms;
  Duration report_gap = 20ms;     // between two reports
  Duration heartbeat = 5s;        // until the cloud says otherwise
  Duration back_off_min = 200ms;  // between dials of the cloud
  Duration back_off_max = 10s;
  Duration refused_back_off = 30s;  // after the cloud refused this node
  Duration tunnel_back_off_min = 50ms;
  Duration tunnel_back_off_max = 5s;
  LogLimits logs;
};

}  // namespace mesclun::agent
