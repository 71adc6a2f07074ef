// Steps that several rules of the fleet take.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// A new allocation that waits for a node. An empty `slot` is a new replica.
void add_replica(Fleet& fleet, const Group& group, const std::string& slot, Moment now);
// Ends an allocation that no longer counts; at once if nothing of it runs anywhere.
void release(Fleet& fleet, const std::string& allocation_id, Moment now);
// The lost copies of a replica will not be taken back.
void forget_lost(Fleet& fleet, const std::string& slot);
// When a group that was deleted at that time is forgotten, and its name free. Unix nanoseconds.
int64_t retention_end(const Fleet& fleet, int64_t delete_time);
void exclude(Fleet& fleet, const Allocation& allocation, Duration length, bool by_failure,
             std::string reason, Moment now);
void add_event(Fleet& fleet, const Group& group, std::string_view name, std::string detail,
               Moment now);
void add_event(Fleet& fleet, const Allocation& allocation, std::string_view name,
               std::string detail, Moment now);

}  // namespace mesclun::cloud
