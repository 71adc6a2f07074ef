// The tables of the control plane.
#pragma once

#include <span>

#include "store/database.h"

namespace mesclun::cloud {

std::span<const store::Migration> cloud_migrations();
// Log lines have a database of their own: they are many, and losing the last ones with the machine
// is no harm.
std::span<const store::Migration> log_migrations();

}  // namespace mesclun::cloud
