// The names of system events (lifecycle.md §3, exact strings), written by cloud and agent and
// relied on by who reads them. Those with a number in them are made where they are written.
#pragma once

#include <string_view>

namespace mesclun::api::event {

// Of a group, by the cloud.
inline constexpr std::string_view kGroupStarted = "Container Group Started";
inline constexpr std::string_view kGroupStopped = "Container Group Stopped";
inline constexpr std::string_view kGatewaySettings = "Container Group Gateway Settings Updated";

// Of an instance, by the cloud alone.
inline constexpr std::string_view kAllocated = "Instance Allocated";

// Of an instance, by its agent; the cloud writes those of a node that cannot.
inline constexpr std::string_view kDownloading = "Instance Downloading";
inline constexpr std::string_view kCreating = "Instance Creating";
inline constexpr std::string_view kStarting = "Instance Starting";
inline constexpr std::string_view kRunning = "Instance Running";
inline constexpr std::string_view kRestarted = "Instance Restarted";
inline constexpr std::string_view kRecreated = "Instance Recreated";
inline constexpr std::string_view kReallocatedByUser = "Instance Reallocated by User";
inline constexpr std::string_view kReallocatedByPlatform = "Instance Reallocated by Platform";
inline constexpr std::string_view kNodeOffline = "Instance Interrupted (Node Offline)";
inline constexpr std::string_view kDiskExceeded =
    "Instance Interrupted (Requested Disk Space Exceeded)";
inline constexpr std::string_view kStartupPassed = "Instance Startup Probe Passed";
inline constexpr std::string_view kReady = "Instance Ready (Readiness Probe Passed)";
inline constexpr std::string_view kNotReady = "Instance Not Ready (Readiness Probe Failure)";
inline constexpr std::string_view kLivenessFailed = "Instance Interrupted (Liveness Probe Failure)";
inline constexpr std::string_view kStartupFailed = "Instance Interrupted (Startup Probe Failure)";

// Whether the name tells of a run that failed, or was taken away.
constexpr bool is_failure(std::string_view name) {
  return name.starts_with("Instance Interrupted") ||
         (name.starts_with("Instance Exited:") && !name.starts_with("Instance Exited:0 "));
}

}  // namespace mesclun::api::event
