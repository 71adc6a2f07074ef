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
};
BOOST_DESCRIBE_STRUCT(GpuClass, (), (id, name, prices, is_high_demand))

// The classes that published requests name; seeded into a new cloud.
const std::vector<GpuClass>& known_gpu_classes();

// By id, or by name without regard to case and surrounding space. Null if there is none.
const GpuClass* find_gpu_class(std::span<const GpuClass> classes, std::string_view id_or_name);

}  // namespace mesclun::api
