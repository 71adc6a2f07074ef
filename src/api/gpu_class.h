// GPU classes and their prices (api.md §10).
#pragma once

#include "api/container_group.h"

namespace mesclun::api {

struct GpuClassPrice {
  Nullable<Priority> priority;
  std::string price;  // decimal, per hour
};
BOOST_DESCRIBE_STRUCT(GpuClassPrice, (), (priority, price))

struct GpuClass {
  std::string id;
  std::string name;                   // such as "RTX 4090 (24 GB)"
  std::vector<GpuClassPrice> prices;  // high, medium, low, batch: clients index them
  std::optional<bool> is_high_demand;
  std::optional<int32_t> gpu_count;  // of classes that are several GPUs in one machine
};
BOOST_DESCRIBE_STRUCT(GpuClass, (), (id, name, prices, is_high_demand, gpu_count))

// The classes that published requests name; seeded into a new cloud.
const std::vector<GpuClass>& known_gpu_classes();

// A class at one price for all levels; nothing is known of its demand.
GpuClass make_gpu_class(std::string id, std::string name, std::string price);

// By id, or by name as people write it: without regard to case, blanks and punctuation, with or
// without the memory ("rtx4090"); one class may name several products ("GTX 1070, 1080 (8 GB)").
// NotFound if there is none, FailedPrecondition with the choices if several have that name.
Result<const GpuClass*> find_gpu_class(std::span<const GpuClass> classes,
                                       std::string_view id_or_name);

// Members that the Go client of the virtual kubelet refuses (api.md §12, fact 4).
void drop_gpu_class_members_unknown_to_go(json::object& gpu_class);

}  // namespace mesclun::api
