// The fleet's rows in the store.
#pragma once

#include "cloud/fleet.h"
#include "store/database.h"

namespace mesclun::cloud {

Result<FleetSnapshot> load_fleet(store::Transaction& tx, int64_t now_unix_ns);
// All of a turn's changes; idempotent, so that a turn may be stored twice.
Result<> save_fleet(store::Transaction& tx, const FleetChanges& changes);

// Events of a group. With `after`: the oldest beyond that sequence; without: the newest. Both
// oldest first, at most `limit`.
Result<std::vector<Event>> load_events(store::Transaction& tx, const std::string& group_id,
                                       std::optional<int64_t> after, int64_t limit);
// Of all groups, in the order of their sequences.
Result<std::vector<Event>> load_all_events(store::Transaction& tx, int64_t after, int64_t limit);
// Keeps the newest events of all groups, and the exclusions that still hold.
Result<> prune(store::Transaction& tx, int64_t events_kept, int64_t now_unix_ns);

}  // namespace mesclun::cloud
