// How many instances of a group may be on their way to a new version at once.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace mesclun::cloud {

// A quarter is Kubernetes' choice too: groups of up to four go one by one, and a large one needs no
// more than four rounds, however many instances it has.
struct UpdateLimit {
  int32_t amount = 25;  // from 1; of percent up to 100
  bool percent = true;  // of the replicas, rounded up

  // At least one.
  int32_t of(int32_t replicas) const;
  std::string text() const;  // as parse_update_limit() takes it
  bool operator==(const UpdateLimit&) const = default;
};
BOOST_DESCRIBE_STRUCT(UpdateLimit, (), (amount, percent))

// "2", "25%". InvalidArgument.
Result<UpdateLimit> parse_update_limit(std::string_view text);

}  // namespace mesclun::cloud
