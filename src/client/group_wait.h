// Waiting for a container group to get where a command sent it.
#pragma once

#include "client/command.h"

namespace mesclun::client {

enum class GroupGoal {
  Prepared,  // the image is there and every change is applied; nothing need run
  Serving,   // every replica runs the newest version and is ready; or the group is done
  Stopped,   // stopped, and no instance is left
  Gone,      // deleted, and no instance is left
};

// How far a group is, decided from one look at it.
struct GroupProgress {
  enum class State { Waiting, Reached, Failed };
  State state = State::Waiting;
  std::string text;  // for people: "deploying: 1 of 3 running, 0 ready"
};
// `instances` may be empty unless all replicas run: readiness is asked for only then.
GroupProgress judge_group(const GroupView& group, const std::vector<InstanceView>& instances,
                          GroupGoal goal);

// Whether waiting for a place has become pointless: the cloud said for kHopelessSettle, from look to
// look, that no node may take what waits. A plain state machine; times are steady.
inline constexpr Duration kHopelessSettle = 5s;
class HopeWatch {
 public:
  // `placement`: null where nobody told, or nothing waits. True: give up.
  bool gives_up(const PlacementView* placement, TimePoint now);

 private:
  std::optional<TimePoint> hopeless_since_;
};

// What `--wait` should wait for after a create or an update.
GroupGoal goal_after_change(const GroupView& group);

// Looks until the goal is reached and returns the group as it is then (null after Gone). Looks
// again after 250 ms, more slowly over time, up to every 2 s; a cloud that is away for a while is
// waited for. FailedPrecondition when the group failed, or can be placed nowhere unless somebody
// changes something; DeadlineExceeded after `limit`; both say
// where to look next.
Task<Result<json::value>> wait_for_group(Session& session, std::string name, GroupGoal goal,
                                         Duration limit);

}  // namespace mesclun::client
