// What the probes of one run say about it (lifecycle.md §4). Pure: results and times in, facts out.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "api/container_group.h"

namespace mesclun::agent {

std::string_view probe_name(api::ProbeKind kind);  // "startup"

// Counts the results of one probe.
//
//   Unknown ──success_threshold in a row──► Success ◄┐
//      └──────failure_threshold in a row──► Failure ◄┘ the same thresholds
class ProbeState {
 public:
  enum class Value { Unknown, Success, Failure };

  explicit ProbeState(api::Probe probe) : probe_(std::move(probe)) {}

  // The first run is due `initial_delay_seconds` after `origin`.
  void begin(TimePoint origin);
  // Goes on with what was known before a restart of the agent: due at once.
  void resume(Value value, TimePoint now);
  // Notes a result. Runs are due every `period_seconds`, counted from their starts; one that took
  // longer than that is followed by the next at once.
  Value record(bool passed, TimePoint begun, TimePoint ended);

  Value value() const { return value_; }
  TimePoint due() const { return due_; }
  Duration timeout() const { return std::chrono::seconds(*probe_.timeout_seconds); }
  const api::Probe& probe() const { return probe_; }

 private:
  const api::Probe probe_;
  Value value_ = Value::Unknown;
  TimePoint due_{};
  int32_t successes_ = 0;
  int32_t failures_ = 0;
};

// Most applications that will ever be ready are by then.
inline constexpr Duration kNeverReadyAfter = 10s;

// The three probes together. Liveness and readiness begin once the startup probe has passed.
class RunHealth {
 public:
  struct Change {
    bool startup_passed = false;
    bool became_ready = false;    // by the readiness probe
    bool became_unready = false;  // likewise
    // The readiness probe has failed since it began, kNeverReadyAfter ago; said once in a run.
    bool was_never_ready = false;
    bool failed = false;  // startup or liveness: the run must end
  };

  explicit RunHealth(const api::GroupSpec& spec);

  // The application was started.
  void begin(TimePoint now);
  // A run that an earlier agent started: what was known of it still holds until a probe says
  // otherwise.
  void resume(bool started, bool ready, TimePoint now);
  Change record(api::ProbeKind kind, bool passed, TimePoint begun, TimePoint ended);

  bool started() const { return started_; }
  bool ready() const;
  // Null if there is no such probe.
  const ProbeState* find(api::ProbeKind kind) const;

 private:
  std::optional<ProbeState>& slot(api::ProbeKind kind) {
    return probes_[static_cast<size_t>(kind)];
  }
  void on_started(TimePoint now);

  std::array<std::optional<ProbeState>, 3> probes_;
  bool started_ = false;
  bool never_ready_ = true;  // and nobody was told
  TimePoint readiness_begun_{};
};

}  // namespace mesclun::agent
