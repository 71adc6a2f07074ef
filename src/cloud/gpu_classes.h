// The GPU classes of this cloud: the published ones, and those that its operator added.
#pragma once

#include "api/gpu_class.h"
#include "base/random.h"
#include "store/database.h"

namespace mesclun::cloud {

// Few and rarely changed: kept in memory, and every change is stored first.
//
// Runs on: the cloud's loop.
// Errors:  AlreadyExists, NotFound, InvalidArgument with the field, Unavailable.
class GpuClasses {
 public:
  GpuClasses(Random& random, store::Database& database)
      : random_(random), database_(database), all_(api::known_gpu_classes()) {}

  Task<Result<>> load();

  // `name` as nodes and people write it, such as "RTX 6000 Ada (48 GB)"; `price` a decimal, per
  // hour.
  Task<Result<api::GpuClass>> add(std::string name, std::string price);
  // FailedPrecondition for a published class. By id or name.
  Task<Result<>> remove(std::string id_or_name);

  // Valid until the next change.
  const std::vector<api::GpuClass>& all() const { return all_; }

 private:
  Random& random_;
  store::Database& database_;
  std::vector<api::GpuClass> all_;
};

}  // namespace mesclun::cloud
