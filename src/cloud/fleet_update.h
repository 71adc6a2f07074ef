// Brings a group to a new version, some of its instances at a time.
//
//   patch_group ──► what needs no restart carries the new version at once
//        │
//        ▼            room: update_step() less what is under way
//   old instances ──────────► under way ──────────► serve with the new version
//        ▲   one that does not serve goes first  │
//        │                                       ▼ none gets there: held, people are told why
//        └── rest as they are, and are replaced as they are, until a newer version or a rollback
//
// Under way is what is to carry the new version and does not serve yet. A replica for which there is
// no node is not, unless the version has failed somewhere: a lost machine holds nobody up.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// The spec that an instance of this version carries; null: forgotten, or never was.
const api::GroupSpec* spec_of_version(const Group& group, int32_t version);
// How many of the group's instances may be under way at once.
int32_t update_step(const FleetSettings& settings, const Group& group);

// The group has a new version; `former` is what it was before.
void begin_update(Fleet& fleet, const Group& group, api::GroupSpec former, Moment now);
// Takes over as many old instances as may be under way now. Ends the update when all carry the new
// version and serve; says so, and why it does not go on. True: something was released.
bool go_on_with_update(Fleet& fleet, const Group& group, Moment now);
// What a replica that is added now is to carry: while the newest version does not prove itself, the
// old one that serves, if it needs the same of a node.
int32_t version_of_new_replica(const Fleet& fleet, const Group& group, Moment now);
// Whether an instance of the newest version serves.
bool is_proven(const Fleet& fleet, const Group& group);

// How far it is and why it does not go on, for people; empty: all carry the newest version.
std::string update_text(const Fleet& fleet, const Group& group);

}  // namespace mesclun::cloud
