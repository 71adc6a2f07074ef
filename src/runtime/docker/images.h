// Images of an engine, by the names that people give them.
#pragma once

#include <functional>

#include "runtime/docker/engine.h"

namespace mesclun::runtime {

// What the engine has of it. NotFound.
Task<Result<json::value>> inspect_image(Engine& engine, std::string image);
// As ContainerDriver::pull.
Task<Result<>> pull_image(Engine& engine, Clock& clock, std::string image,
                          std::function<void(double)> progress);

}  // namespace mesclun::runtime
