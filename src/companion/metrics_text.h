// What the companion counts, for Prometheus.
#pragma once

#include <string>

#include "companion/front.h"
#include "companion/status_pages.h"

namespace mesclun::companion {

// `front` may be null.
std::string metrics_text(const Front* front, const HealthVerdict& verdict,
                         const MonitorStatus& monitor);

}  // namespace mesclun::companion
