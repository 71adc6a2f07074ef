// The GPUs of this machine, asked from NVIDIA's driver. Loaded at run time: most machines have
// none.
#pragma once

#include <string>
#include <vector>

#include "link/messages.h"

namespace mesclun::agent {

inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

struct GpuDiscovery {
  std::vector<link::GpuFacts>
      gpus;             // named like the cloud's classes: "RTX 4090 (24 GB)"; without a class id
  std::string problem;  // a driver that is there but does not answer; empty: fine, or no driver
};

// Blocks for as long as the driver takes (a second or two after boot).
GpuDiscovery discover_gpus(const std::string& library = kNvmlLibrary);

// "NVIDIA GeForce RTX 4090" and 24,564 MiB to "RTX 4090 (24 GB)".
std::string gpu_class_name(std::string_view product, uint64_t memory_bytes);

}  // namespace mesclun::agent
