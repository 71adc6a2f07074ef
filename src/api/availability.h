// How many machines could take a workload now (api.md §10).
#pragma once

#include <span>

#include "api/gpu_class.h"

namespace mesclun::api {

struct AvailabilityQuery {
  std::vector<std::string> country_codes;  // empty: any
  Resources resources;  // what is not said is that of a group that does not say it
};

// `wants_gpu`: gpu_classes is required, else it is no member. Unknown members are passed over, as in a
// group. InvalidArgument, with every problem and its field.
Result<AvailabilityQuery> read_availability_query(const json::value& document, bool wants_gpu,
                                                  std::span<const GpuClass> gpu_classes);

struct CpuAvailability {
  int32_t available_cpu_batch = 0;
  int32_t on_call_cpu = 0;
};
BOOST_DESCRIBE_STRUCT(CpuAvailability, (), (available_cpu_batch, on_call_cpu))

struct GpuAvailability {
  int32_t available_gpu_high = 0;
  int32_t available_gpu_medium = 0;
  int32_t available_gpu_low = 0;
  int32_t available_gpu_batch = 0;
  int32_t on_call_gpu = 0;
};
BOOST_DESCRIBE_STRUCT(GpuAvailability, (),
                      (available_gpu_high, available_gpu_medium, available_gpu_low,
                       available_gpu_batch, on_call_gpu))

}  // namespace mesclun::api
