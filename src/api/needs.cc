#include "api/needs.h"

#include <fmt/format.h>

#include <set>

#include "api/checks.h"
#include "api/names.h"
#include "base/text.h"

namespace mesclun::api {

void check_resources(Resources& resources, std::span<const GpuClass> gpu_classes,
                     const JsonPath& path, JsonProblems& problems) {
  check_range(resources.cpu, 1, 1024, path / "cpu", problems);
  check_range(resources.memory, 1024, 1'073'741'824, path / "memory", problems);
  if (resources.storage_amount) {
    check_range<int64_t>(*resources.storage_amount, 1'073'741'824, 1'125'899'906'842'624,
                         path / "storage_amount", problems);
  }
  if (resources.shm_size) {
    check_range(*resources.shm_size, 64, 1'073'741'824, path / "shm_size", problems);
  }
  const JsonPath list = path / "gpu_classes";
  check_count(resources.gpu_classes.size(), 0, 100, list, problems);
  for (size_t i = 0; i < resources.gpu_classes.size(); ++i) {
    const auto gpu = find_gpu_class(gpu_classes, resources.gpu_classes[i]);
    if (gpu) {
      resources.gpu_classes[i] = (*gpu)->id;
      continue;
    }
    const JsonPath item{.parent = &list, .index = static_cast<int64_t>(i)};
    problems.add(item, gpu.error().message);
  }
}

void check_countries(std::vector<std::string>& codes, const JsonPath& path,
                     JsonProblems& problems) {
  check_count(codes.size(), 0, 500, path, problems);
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = lower_case(codes[i]);
    if (is_country_code(codes[i])) continue;
    const JsonPath item{.parent = &path, .index = static_cast<int64_t>(i)};
    problems.add(item,
                 fmt::format("'{}' is no ISO 3166-1 alpha-2 country code", codes[i].substr(0, 16)));
  }
  std::set<std::string> seen;
  std::erase_if(codes, [&](const std::string& code) { return !seen.insert(code).second; });
}

}  // namespace mesclun::api
