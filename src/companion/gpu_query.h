// What nvidia-smi says about the GPUs: text in, facts out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "companion/command_runner.h"

namespace mesclun::companion {

// A value that the driver does not know ("[N/A]") is absent.
struct GpuReading {
  std::string name;
  std::optional<uint64_t> vram_total;  // bytes, as the others
  std::optional<uint64_t> vram_used;
  std::optional<uint64_t> vram_free;
  std::optional<double> temperature;  // degrees Celsius
  std::string driver;

  std::optional<double> vram_used_share() const;
};

// CUDA 12.8 is {12, 8}.
struct CudaVersion {
  int major = 0;
  int minor = 0;
  auto operator<=>(const CudaVersion&) const = default;
  std::string to_string() const;
};
std::optional<CudaVersion> parse_cuda_version(std::string_view text);  // "12.8", "12"

struct GpuReport {
  std::vector<GpuReading> gpus;
  std::optional<CudaVersion> cuda;  // the newest that the driver takes

  // Over all GPUs the least total and free memory, the highest share used and temperature.
  // A value of which one GPU knows nothing is judged by the others.
  GpuReading worst() const;
  std::optional<double> worst_vram_used_share() const;
};

// The lines of --query-gpu=name,memory.total,memory.used,memory.free,temperature.gpu,driver_version
// --format=csv,noheader,nounits. Unavailable: no line is one, as when the driver does not answer.
Result<std::vector<GpuReading>> parse_gpu_lines(std::string_view text);
// The version in the table that nvidia-smi prints without arguments.
std::optional<CudaVersion> find_cuda_version(std::string_view table);

// NotFound: there is no nvidia-smi, so nothing is known. `with_cuda` costs a second run.
Task<Result<GpuReport>> query_gpus(CommandRunner& commands, Duration limit, bool with_cuda);

}  // namespace mesclun::companion
