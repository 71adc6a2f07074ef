// The GPUs of this machine, asked from NVIDIA's driver. Loaded at run time: most machines have
// none.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "link/messages.h"

namespace mesclun::agent {

inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

struct GpuDiscovery {
  std::vector<link::GpuFacts>
      gpus;             // named like the cloud's classes: "RTX 4090 (24 GB)"; without a class id
  std::string driver;   // its version; empty: none, or it does not say
  std::string cuda;     // the newest that it supports, "12.8"; likewise
  std::string problem;  // a driver that is there but does not answer; empty: fine, or no driver
};

// Blocks for as long as the driver takes (a second or two after boot).
GpuDiscovery discover_gpus(const std::string& library = kNvmlLibrary);

// How much of each GPU's memory is free, read again and again by a thread of its own: a driver may take
// its time. Without a driver, or with one that does not answer, there is nothing.
//
// Runs on: any one thread. The destructor waits for a reading under way.
class GpuMeter {
 public:
  explicit GpuMeter(Duration period, const std::string& library = kNvmlLibrary);
  ~GpuMeter();
  GpuMeter(const GpuMeter&) = delete;
  GpuMeter& operator=(const GpuMeter&) = delete;

  // Of the last reading.
  std::vector<link::GpuReading> readings() const;

 private:
  void run(const std::string& library);
  bool wait();  // for the period; false: it is to end

  const Duration period_;
  mutable std::mutex mutex_;
  std::condition_variable ends_;
  bool ending_ = false;
  std::vector<link::GpuReading> readings_;
  std::thread thread_;  // last: it uses the others
};

// "NVIDIA GeForce RTX 4090" and 24,564 MiB to "RTX 4090 (24 GB)".
std::string gpu_class_name(std::string_view product, uint64_t memory_bytes);

}  // namespace mesclun::agent
