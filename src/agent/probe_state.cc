#include "agent/probe_state.h"

namespace mesclun::agent {

using api::ProbeKind;

std::string_view probe_name(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Liveness:
      return "liveness";
    case ProbeKind::Readiness:
      return "readiness";
    case ProbeKind::Startup:
      return "startup";
  }
  return "?";
}

void ProbeState::begin(TimePoint origin) {
  due_ = origin + std::chrono::seconds(*probe_.initial_delay_seconds);
}

void ProbeState::resume(Value value, TimePoint now) {
  value_ = value;
  due_ = now;
}

ProbeState::Value ProbeState::record(bool passed, TimePoint begun, TimePoint ended) {
  due_ = std::max(begun + std::chrono::seconds(*probe_.period_seconds), ended);
  if (passed) {
    failures_ = 0;
    // Counting stops at the threshold: years of successes must not overflow.
    successes_ = std::min(successes_ + 1, *probe_.success_threshold);
    if (successes_ == *probe_.success_threshold) value_ = Value::Success;
  } else {
    successes_ = 0;
    failures_ = std::min(failures_ + 1, *probe_.failure_threshold);
    if (failures_ == *probe_.failure_threshold) value_ = Value::Failure;
  }
  return value_;
}

namespace {

// A spec from the cloud is completed; one of another version of the cloud may lack a number.
std::optional<ProbeState> make(const std::optional<api::Probe>& probe, ProbeKind kind) {
  if (!probe) return std::nullopt;
  api::Probe completed = *probe;
  JsonProblems ignored;
  // The cloud has judged its numbers.
  api::complete_probe(completed, kind, std::numeric_limits<int32_t>::max(), JsonPath{}, ignored);
  return ProbeState(std::move(completed));
}

}  // namespace

RunHealth::RunHealth(const api::GroupSpec& spec)
    : probes_{make(spec.liveness_probe, ProbeKind::Liveness),
              make(spec.readiness_probe, ProbeKind::Readiness),
              make(spec.startup_probe, ProbeKind::Startup)} {
  static_assert(static_cast<size_t>(ProbeKind::Liveness) == 0);
  static_assert(static_cast<size_t>(ProbeKind::Startup) == 2);
}

void RunHealth::begin(TimePoint now) {
  if (auto& startup = slot(ProbeKind::Startup)) {
    startup->begin(now);
  } else {
    on_started(now);
  }
}

void RunHealth::on_started(TimePoint now) {
  started_ = true;
  readiness_begun_ = now;
  for (ProbeKind kind : {ProbeKind::Liveness, ProbeKind::Readiness}) {
    if (auto& probe = slot(kind)) probe->begin(now);
  }
}

void RunHealth::resume(bool started, bool ready, TimePoint now) {
  using Value = ProbeState::Value;
  auto& startup = slot(ProbeKind::Startup);
  started_ = started || !startup;
  if (startup) startup->resume(started_ ? Value::Success : Value::Unknown, now);
  if (!started_) return;
  if (auto& liveness = slot(ProbeKind::Liveness)) liveness->resume(Value::Success, now);
  readiness_begun_ = now;
  never_ready_ = !ready;
  if (auto& readiness = slot(ProbeKind::Readiness)) {
    readiness->resume(ready ? Value::Success : Value::Unknown, now);
  }
}

RunHealth::Change RunHealth::record(ProbeKind kind, bool passed, TimePoint begun, TimePoint ended) {
  Change change;
  auto& probe = slot(kind);
  if (!probe) return change;
  using Value = ProbeState::Value;
  const Value before = probe->value();
  const Value after = probe->record(passed, begun, ended);
  if (kind == ProbeKind::Readiness) {
    if (after == Value::Success) never_ready_ = false;
    const bool long_enough = ended - readiness_begun_ >= kNeverReadyAfter;
    if (never_ready_ && after == Value::Failure && long_enough) {
      change.was_never_ready = true;
      never_ready_ = false;
    }
  }
  if (after == before) return change;
  if (kind == ProbeKind::Readiness) {
    change.became_ready = after == Value::Success;
    change.became_unready = after == Value::Failure && before == Value::Success;
    return change;
  }
  if (after == Value::Failure) {
    change.failed = true;
  } else if (kind == ProbeKind::Startup) {
    change.startup_passed = true;
    on_started(ended);
  }
  return change;
}

bool RunHealth::ready() const {
  const ProbeState* readiness = find(ProbeKind::Readiness);
  return started_ && (readiness == nullptr || readiness->value() == ProbeState::Value::Success);
}

const ProbeState* RunHealth::find(ProbeKind kind) const {
  const auto& probe = probes_[static_cast<size_t>(kind)];
  return probe ? &*probe : nullptr;
}

}  // namespace mesclun::agent
