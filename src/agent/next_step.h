// What becomes of a run (lifecycle.md §4 to §6, imds.md §5). Pure: everything known goes in, one
// step comes out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/container_group.h"
#include "link/messages.h"
#include "runtime/driver.h"

namespace mesclun::agent {

// What an instance asks for by its metadata service.
enum class SelfAction { None, Restart, Recreate, Reallocate };

struct FailedProbe {
  api::ProbeKind kind = api::ProbeKind::Liveness;
  std::string detail;
};

struct EventText {
  std::string name;
  std::string detail;
  bool operator==(const EventText&) const = default;
};
BOOST_DESCRIBE_STRUCT(EventText, (), (name, detail))

struct RunFacts {
  // Wishes.
  bool stop = false;          // of the cloud
  std::string let_go_reason;  // of the machine's owner or the agent; empty: none
  SelfAction action = SelfAction::None;
  std::string action_reason;
  TimePoint action_due{};  // the answer gets a moment to reach the application
  bool newer_run = false;  // the cloud asks for another run
  link::RunAction run_action = link::RunAction::Recreate;
  bool run_by_user = false;
  // Observations.
  std::optional<runtime::RunExit> exit;
  std::optional<FailedProbe> failed_probe;
  std::optional<runtime::DiskExcess> disk_excess;
  std::string refused;          // the machine could not make a run; why
  std::string machine_trouble;  // what the machine lacks while it ended or failed; may be why
  bool gone = false;            // the driver knows the run no more
  api::RestartPolicy policy = api::RestartPolicy::Always;
  size_t recent_restarts = 0;  // in place, after exit 0, within kQuickExitWindow
};

struct NextStep {
  enum class Kind { Stay, RunAgain, End };
  Kind kind = Kind::Stay;
  std::optional<TimePoint> look_again;  // Stay: something is due then

  bool keep_files = false;       // RunAgain
  bool counts_as_quick = false;  // RunAgain: after exit 0
  Duration back_off{};           // RunAgain

  link::RunOutcome outcome = link::RunOutcome::None;  // End
  bool exclude_node = false;                          // End
  bool failed = false;                                // End, exclude_node: it failed here
  std::string reason;                                 // End; for people

  std::vector<EventText> events;  // in order, before the step is carried out
};

// Five restarts in place, each after its back-off of 0, 1, 2, 4 and 8 s; what exits again within 10
// min of the first of them moves (lifecycle.md, open point 2).
inline constexpr Duration kQuickExitWindow = 10min;
inline constexpr size_t kRestartsInPlace = 5;

// Who comes first when several hold: the cloud's stop, the instance's wish to leave, the machine's,
// another run by the cloud, one by the instance, a run that is gone, an exit, too full a disk, a
// failed probe. So an
// exit right after a reallocate call is one reallocation.
NextStep decide_next(const RunFacts& facts, TimePoint now);
// The machine could not carry out what was decided.
NextStep end_by_machine(const std::string& why);

}  // namespace mesclun::agent

template <>
struct mesclun::JsonEnum<mesclun::agent::SelfAction> {
  using enum mesclun::agent::SelfAction;
  static constexpr std::pair<mesclun::agent::SelfAction, std::string_view> kNames[] = {
      {None, "none"}, {Restart, "restart"}, {Recreate, "recreate"}, {Reallocate, "reallocate"}};
};
