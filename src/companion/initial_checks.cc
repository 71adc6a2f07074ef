#include "companion/initial_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "companion/gpu_query.h"

namespace mesclun::companion {

namespace {

constexpr int kMinorsPerMajor = 1000;

// 3.2, but 10 instead of 10.0.
std::string plain(double value) {
  const double rounded = std::round(value * 10) / 10;
  return rounded == std::floor(rounded) ? fmt::format("{:.0f}", rounded)
                                        : fmt::format("{:.1f}", rounded);
}

std::string bytes_text(double bytes) {
  constexpr double kGib = 1024.0 * 1024 * 1024;
  if (bytes >= kGib) return fmt::format("{} GiB", plain(bytes / kGib));
  return fmt::format("{} MiB", plain(bytes / (1024.0 * 1024)));
}

std::string value_text(CheckUnit unit, double value) {
  if (std::isinf(value)) return "no end";
  switch (unit) {
    case CheckUnit::Mbps:
      return plain(value) + " Mbps";
    case CheckUnit::Milliseconds:
      return plain(value) + " ms";
    case CheckUnit::Bytes:
      return bytes_text(value);
    case CheckUnit::Celsius:
      return plain(value) + " °C";
    case CheckUnit::CudaVersion: {
      const int number = static_cast<int>(value);
      return fmt::format("{}.{}", number / kMinorsPerMajor, number % kMinorsPerMajor);
    }
    case CheckUnit::Seconds:
      return fmt::format("{:.3g} s", value);
    case CheckUnit::WorkPerSecond:
      return fmt::format("{:.3g} work/s", value);
  }
  return {};
}

std::string joined(const std::vector<std::string>& sentences) {
  return fmt::format("{}", fmt::join(sentences, "; "));
}

void plan_bucket(const BucketCheckConfig& bucket, std::vector<CheckItem>& items) {
  if (bucket.endpoint.empty()) return;
  items.push_back({.key = "bucket_upload",
                   .name = "upload to bucket " + bucket.bucket,
                   .required = bucket.upload_mbps_min});
  items.push_back({.key = "bucket_download",
                   .name = "download from bucket " + bucket.bucket,
                   .required = bucket.download_mbps_min});
}

void plan_gpu(const GpuCheckConfig& gpu, std::vector<CheckItem>& items) {
  if (gpu.vram_total_min > 0) {
    items.push_back({.key = "vram_total",
                     .name = "GPU memory",
                     .unit = CheckUnit::Bytes,
                     .required = static_cast<double>(gpu.vram_total_min)});
  }
  if (gpu.vram_free_min > 0) {
    items.push_back({.key = "vram_free",
                     .name = "free GPU memory",
                     .unit = CheckUnit::Bytes,
                     .required = static_cast<double>(gpu.vram_free_min)});
  }
  if (const auto cuda = parse_cuda_version(gpu.cuda_min)) {
    items.push_back({.key = "cuda",
                     .name = "CUDA version of the driver",
                     .unit = CheckUnit::CudaVersion,
                     .required = cuda_as_number(cuda->major, cuda->minor)});
  }
  if (gpu.temperature_max > 0) {
    items.push_back({.key = "gpu_temperature",
                     .name = "GPU temperature",
                     .unit = CheckUnit::Celsius,
                     .at_least = false,
                     .required = gpu.temperature_max});
  }
}

// Without its query, which may hold a signature.
std::string shown_url(const std::string& url) {
  return url.substr(0, url.find('?'));
}

}  // namespace

double cuda_as_number(int major, int minor) {
  return major * kMinorsPerMajor + std::min(minor, kMinorsPerMajor - 1);
}

bool CheckItem::missed() const {
  if (!measured || required <= 0) return false;
  return at_least ? *measured < required : *measured > required;
}

void CheckItem::improve(std::optional<double> reading, std::string why) {
  if (!reading) {
    if (!measured) unknown_why = std::move(why);
    return;
  }
  const bool is_better = !measured || (at_least ? *reading > *measured : *reading < *measured);
  if (is_better) measured = reading;
}

std::string CheckItem::sentence() const {
  if (!measured) return fmt::format("{}: unknown, {}", name, unknown_why);
  if (required <= 0) return fmt::format("{}: {}", name, value_text(unit, *measured));
  return fmt::format("{}: {}, {} {}", name, value_text(unit, *measured), value_text(unit, required),
                     at_least ? "required" : "allowed");
}

std::vector<CheckItem> planned_checks(const ChecksConfig& config) {
  std::vector<CheckItem> items;
  if (!config.download.url.empty()) {
    items.push_back({.key = "download",
                     .name = "download from " + shown_url(config.download.url),
                     .required = config.download.mbps_min});
  }
  if (!config.upload.url.empty()) {
    items.push_back({.key = "upload",
                     .name = "upload to " + shown_url(config.upload.url),
                     .required = config.upload.mbps_min});
  }
  plan_bucket(config.bucket, items);
  for (const LatencyCheckConfig& latency : config.latency) {
    items.push_back({.key = "latency " + latency.address,
                     .name = "latency to " + latency.address,
                     .unit = CheckUnit::Milliseconds,
                     .at_least = false,
                     .required = latency.ms_max});
  }
  plan_gpu(config.gpu, items);
  if (config.memory_min > 0) {
    items.push_back({.key = "memory",
                     .name = "memory",
                     .unit = CheckUnit::Bytes,
                     .required = static_cast<double>(config.memory_min)});
  }
  if (config.disk_min > 0) {
    items.push_back({.key = "disk",
                     .name = "free disk space at " + config.disk_path,
                     .unit = CheckUnit::Bytes,
                     .required = static_cast<double>(config.disk_min)});
  }
  return items;
}

CheckVerdict judge_checks(const std::vector<CheckItem>& items, const ChecksConfig& config,
                          const CheckSituation& situation) {
  CheckVerdict verdict;
  for (const CheckItem& item : items) {
    if (item.unknown()) verdict.warnings.push_back(item.sentence() + " (not held against it)");
    if (item.missed()) verdict.misses.push_back(item.sentence());
  }
  if (verdict.misses.empty()) return verdict;
  verdict.reason = "checks missed: " + joined(verdict.misses);
  if (situation.retry_allowed && situation.attempts_done < config.attempts) {
    verdict.step = CheckStep::Retry;
  } else if (config.on_miss == Action::Report) {
    verdict.step = CheckStep::Warn;
  } else if (situation.nodes_left && *situation.nodes_left < config.nodes_left_min) {
    verdict.step = CheckStep::Warn;
    verdict.warnings.push_back(fmt::format(
        "serving in spite of that: only {} other nodes are left for this group, fewer than "
        "checks.nodes_left_min {}",
        *situation.nodes_left, config.nodes_left_min));
  } else if (config.on_miss == Action::Exit || situation.is_local) {
    verdict.step = CheckStep::Exit;
  } else {
    verdict.step = CheckStep::Reallocate;
  }
  return verdict;
}

}  // namespace mesclun::companion
