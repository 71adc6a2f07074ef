#include "sim/event_audit.h"

#include <algorithm>
#include <tuple>

#include "base/clock.h"

namespace mesclun::sim {

void EventAudit::told(const std::string& machine_id, const link::InstanceEvent& event, bool taken) {
  const auto known = acknowledged_.find(machine_id);
  if (known != acknowledged_.end() && event.sequence <= known->second) return;
  const Sequence sequence{machine_id, event.sequence};
  if (taken) {
    told_[sequence] = {event.group_id, event.instance_id, event.name, event.time};
  } else {
    told_.erase(sequence);
  }
}

void EventAudit::tells_again(const std::string& machine_id) {
  const auto known = acknowledged_.find(machine_id);
  const int64_t kept = known == acknowledged_.end() ? 0 : known->second;
  told_.erase(told_.upper_bound({machine_id, kept}), told_.upper_bound({machine_id, INT64_MAX}));
}

void EventAudit::acknowledged(const std::string& machine_id, int64_t sequence) {
  int64_t& known = acknowledged_[machine_id];
  known = std::max(known, sequence);
}

void EventAudit::check(const std::vector<cloud::Event>& stored, const cloud::Fleet& fleet,
                       Violations& violations) const {
  using Key = std::tuple<std::string, std::string, std::string, int64_t>;
  std::map<Key, int> count;
  for (const cloud::Event& event : stored) {
    if (event.instance_id.empty()) continue;
    const Key key{event.machine_id, event.instance_id, event.event_name, event.time};
    if (++count[key] == 2) {
      violations.add(fmt::format("event '{}' of instance {} is stored twice", event.event_name,
                                 event.instance_id));
    }
  }
  for (const auto& [sequence, told] : told_) {
    const auto& [machine_id, number] = sequence;
    const auto known = acknowledged_.find(machine_id);
    if (known == acknowledged_.end() || known->second < number) continue;
    if (fleet.groups.find(told.group_id) == nullptr) continue;
    if (count.contains(Key{machine_id, told.instance_id, told.name, told.time})) continue;
    violations.add(fmt::format(
        "event '{}' of instance {}, told by {} at {}, was acknowledged and is not stored",
        told.name, told.instance_id, machine_id, format_rfc3339(from_unix_nanos(told.time))));
  }
}

}  // namespace mesclun::sim
