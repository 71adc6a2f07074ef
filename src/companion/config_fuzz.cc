// mesclun-app.yaml and one variable of the environment.
#include <cstdint>

#include "companion/config_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto from_file = mesclun::companion::read_config("f", text, {});
  for (const auto& problem : from_file.problems) {
    if (problem.where.empty() || problem.text.empty()) __builtin_trap();
  }
  std::ignore = mesclun::companion::read_config(
      "f", "", {{"MESCLUN_APP_CHECKS_LATENCY", text}, {"MESCLUN_APP_BATCH_PATHS", text}});
  return 0;
}
