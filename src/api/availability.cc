#include "api/availability.h"

#include "api/checks.h"
#include "api/needs.h"

namespace mesclun::api {

namespace {

// As it stands in the request.
struct Said {
  std::optional<std::vector<std::string>> country_codes;
  std::optional<int32_t> cpu;
  std::optional<int32_t> memory;  // MB
  std::optional<int64_t> storage_amount;
  std::optional<std::vector<std::string>> gpu_classes;
};
BOOST_DESCRIBE_STRUCT(Said, (), (country_codes, cpu, memory, storage_amount, gpu_classes))

}  // namespace

Result<AvailabilityQuery> read_availability_query(const json::value& document, bool wants_gpu,
                                                  std::span<const GpuClass> gpu_classes) {
  Said said;
  JsonProblems problems;
  const JsonPath root;
  read_json(document, said, root, problems);
  AvailabilityQuery query{.country_codes = said.country_codes.value_or(std::vector<std::string>()),
                          .resources = {.cpu = said.cpu.value_or(1),
                                        .memory = said.memory.value_or(1024),
                                        .gpu_classes = {},
                                        .storage_amount = said.storage_amount,
                                        .shm_size = {}}};
  if (wants_gpu) {
    query.resources.gpu_classes = said.gpu_classes.value_or(std::vector<std::string>());
    if (query.resources.gpu_classes.empty()) {
      problems.add(root / "gpu_classes", "must name at least one GPU class");
    }
  }
  check_resources(query.resources, gpu_classes, root, problems);
  check_countries(query.country_codes, root / "country_codes", problems);
  if (!problems.empty()) return problems.to_error();
  return query;
}

}  // namespace mesclun::api
