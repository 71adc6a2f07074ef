// The numbers that a machine's owner may change; `mesclun agent --help` shows them.
#pragma once

#include "agent/endpoint_meter.h"
#include "agent/log_shipper.h"
#include "agent/metadata_service.h"
#include "link/redial.h"

namespace mesclun::agent {

struct AgentSettings {
  Duration stop_grace = 30s;  // from SIGTERM to SIGKILL
  HeaderRule metadata_header = HeaderRule::Strict;
  // From an instance's own restart, recreate or reallocate call to the deed: its answer must get
  // through first.
  Duration action_delay = 500ms;
  Duration report_gap = 20ms;   // between two reports
  Duration usage_period = 10s;  // how often it is told what instances use
  Duration heartbeat = 5s;      // until the cloud says otherwise
  // Without a session for so long everything is stopped; zero: never.
  Duration stop_after_silence = 10min;
  link::RedialSettings cloud{.refused_wait = 30s};
  link::RedialSettings gateways{.back_off_min = 50ms, .back_off_max = 5s};
  std::vector<MeasuredEndpoint> measured;  // how far they are is told
  Duration measure_period = 1h;
  LogLimits logs;
};

}  // namespace mesclun::agent
