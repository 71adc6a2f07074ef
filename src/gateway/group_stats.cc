#include "gateway/group_stats.h"

namespace mesclun::gateway {

void GroupStats::count(const AccessEntry& entry) {
  ++answers[entry.status];
  if (!entry.reason.empty()) {
    const auto found = refusals.find(entry.reason);
    ++(found != refusals.end() ? found->second : refusals[std::string(entry.reason)]);
  }
  bytes_in += entry.bytes_in;
  bytes_out += entry.bytes_out;
  total.observe(entry.total);
  // How long it waited counts also where nothing came of it.
  if (entry.reason.empty() || entry.wait > Duration()) wait.observe(entry.wait);
  if (!entry.reason.empty() || entry.status == 0) return;
  connect.observe(entry.connect);
  first_byte.observe(entry.first_byte);
}

}  // namespace mesclun::gateway
