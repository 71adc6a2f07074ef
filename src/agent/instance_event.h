// The names of system events that a node writes (lifecycle.md §3, exact strings).
#pragma once

#include <string>

#include "runtime/driver.h"

namespace mesclun::agent {

namespace event {
inline constexpr std::string_view kCreating = "Instance Creating";
inline constexpr std::string_view kStarting = "Instance Starting";
inline constexpr std::string_view kRunning = "Instance Running";
inline constexpr std::string_view kRestarted = "Instance Restarted";
inline constexpr std::string_view kRecreated = "Instance Recreated";
inline constexpr std::string_view kReallocatedByUser = "Instance Reallocated by User";
inline constexpr std::string_view kReallocatedByPlatform = "Instance Reallocated by Platform";
inline constexpr std::string_view kNodeOffline = "Instance Interrupted (Node Offline)";
inline constexpr std::string_view kStartupPassed = "Instance Startup Probe Passed";
inline constexpr std::string_view kReady = "Instance Ready (Readiness Probe Passed)";
inline constexpr std::string_view kNotReady = "Instance Not Ready (Readiness Probe Failure)";
inline constexpr std::string_view kLivenessFailed = "Instance Interrupted (Liveness Probe Failure)";
inline constexpr std::string_view kStartupFailed = "Instance Interrupted (Startup Probe Failure)";
}  // namespace event

// "Instance Exited:137 (Likely Out of System Memory)"
std::string exit_event_name(const runtime::RunExit& exit);

struct EventText {
  std::string name;
  std::string detail;
  bool operator==(const EventText&) const = default;
};

}  // namespace mesclun::agent
