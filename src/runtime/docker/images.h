// Images of an engine, by the names that people give them.
#pragma once

#include <functional>

#include "runtime/docker/engine.h"
#include "runtime/driver.h"

namespace mesclun::runtime {

// What the engine has of it. NotFound.
Task<Result<json::value>> inspect_image(Engine& engine, std::string image);
// Whether programs of an image, as inspect_image() tells of it, run here. FailedPrecondition.
Result<> check_architecture(const std::string& name, const json::value& image);
// As ContainerDriver::pull.
Task<Result<>> pull_image(Engine& engine, Clock& clock, std::string image, RegistryAccess access,
                          std::function<void(double)> progress);
// As the engine wants it in X-Registry-Auth; empty for no access.
std::string registry_auth(const RegistryAccess& access);

}  // namespace mesclun::runtime
