// Whether the application answers.
#pragma once

#include "companion/application_link.h"
#include "companion/config.h"

namespace mesclun::companion {

// A request of application.check.path that is answered below 500, or a connection where there is no
// such path. An error says for people what happened instead.
Task<Result<>> check_application(const ApplicationConfig& config, Clock& clock,
                                 ApplicationLink& link);

}  // namespace mesclun::companion
