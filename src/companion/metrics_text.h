// The Prometheus text format (version 0.0.4). Debian's client library comes as a shared library
// only, and the companion is static (docs/adr/0007-companion.md).
#pragma once

#include <string>

#include "companion/front.h"
#include "companion/status_pages.h"

namespace mesclun::companion {

// `front` may be null.
std::string metrics_text(const Front* front, const HealthVerdict& verdict,
                         const MonitorStatus& monitor);

}  // namespace mesclun::companion
