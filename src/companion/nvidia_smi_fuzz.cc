// Both texts of nvidia-smi, arbitrary.
#include "companion/gpu_query.h"

using namespace mesclun::companion;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto gpus = parse_gpu_lines(text)) {
    const GpuReport report{.gpus = *gpus, .cuda = std::nullopt};
    std::ignore = report.worst();
    std::ignore = report.worst_vram_used_share();
  }
  if (const auto version = find_cuda_version(text)) {
    if (parse_cuda_version(version->to_string()) != version) __builtin_trap();
  }
  return 0;
}
