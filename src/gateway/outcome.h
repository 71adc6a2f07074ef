// How a request ended at an instance, and what that says of the instance. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "gateway/refusal.h"
#include "http/load_report.h"
#include "http/message.h"

namespace mesclun::gateway {

struct Outcome {
  enum class Kind {
    Unknown,  // the client left, or it was no request with an end
    Served,   // whatever the application said
    Busy,     // it was refused for load
    Failed,   // no whole answer, or the application's own 500, 502, 503, 504
  };
  Kind kind = Kind::Unknown;
  Duration retry_after{};  // Busy
  bool untouched = false;  // Busy: the companion says that the application has not seen the request
  std::optional<LoadReport> load;
};

// Of a whole answer. Busy: 429, 503 with Retry-After, and the companion's own refusals.
Outcome outcome_of(const ResponseHead& head);
// Of a request that we had to refuse after it had met an instance.
Outcome outcome_of(const Refusal& refusal);

}  // namespace mesclun::gateway
