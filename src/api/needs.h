// What a workload needs of a machine, as groups and questions say it.
#pragma once

#include <span>

#include "api/gpu_class.h"

namespace mesclun::api {

// Ranges of api.md §4; names of GPU classes become their ids.
void check_resources(Resources& resources, std::span<const GpuClass> gpu_classes,
                     const JsonPath& path, JsonProblems& problems);
// In lower case and each once afterwards.
void check_countries(std::vector<std::string>& codes, const JsonPath& path, JsonProblems& problems);

}  // namespace mesclun::api
