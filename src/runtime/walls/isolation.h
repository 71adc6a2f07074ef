// Which namespaces a run gets. What a machine allows is found by trying, the same for all
// runs of a driver, and kept with each run.
#pragma once

#include "base/json.h"

namespace mesclun::runtime {

struct Isolation {
  bool user = false;       // a user namespace, where the others need one
  bool network = false;    // network, host name and System V IPC of its own
  bool processes = false;  // process namespace with /proc of its own: ends as a whole, for certain
};
BOOST_DESCRIBE_STRUCT(Isolation, (), (user, network, processes))

}  // namespace mesclun::runtime
