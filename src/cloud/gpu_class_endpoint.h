// GPU classes as the operator sees them, under /api/operator/gpu-classes.
#pragma once

#include <functional>

#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_classes.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class GpuClassEndpoint {
 public:
  // `changed` is called after each change.
  GpuClassEndpoint(GpuClasses& classes, FleetLoop& loop, std::function<void()> changed)
      : classes_(classes), loop_(loop), changed_(std::move(changed)) {}

  // `path` is gpu-classes[/ID or NAME].
  Answer handle(HttpRequest request, std::vector<std::string> path);

 private:
  Answer add(HttpRequest request);
  Answer remove(std::string id_or_name);

  GpuClasses& classes_;
  FleetLoop& loop_;
  std::function<void()> changed_;
};

}  // namespace mesclun::cloud
