// Settings with a unit, as people write them: "20s", "500ms", "64MiB".
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace mesclun {

// ns, us, ms, s, m, h, d; a bare number is refused, because its unit would be a guess (0 is 0).
Result<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration duration);

// B, KB, MB, GB (1000), KiB, MiB, GiB (1024); a bare number is bytes.
Result<uint64_t> parse_bytes(std::string_view text);
std::string format_bytes(uint64_t bytes);

}  // namespace mesclun
