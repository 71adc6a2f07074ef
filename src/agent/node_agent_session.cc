// The agent's side of the session: what the cloud says is applied, what happens here is said.
#include "agent/node_agent.h"
#include "base/log.h"
#include "base/race.h"

namespace mesclun::agent {

using link::NodeMode;
using link::RunOutcome;

namespace {

// Events that a report carried and nobody acknowledged are said again after this time.
constexpr Duration kEventsAgain = 5s;

}  // namespace

link::Hello NodeAgent::hello() const {
  link::Hello hello{.machine_id = node_.machine_id,
                    .node_secret = node_.node_secret,
                    .join_token = join_token_,
                    .facts = facts_};
  return hello;
}

void NodeAgent::connected(link::Session& session, const link::Welcome& welcome) {
  session_ = &session;
  revision_ = 0;
  heartbeat_ = welcome.heartbeat_ms > 0 ? Duration(std::chrono::milliseconds(welcome.heartbeat_ms))
                                        : settings_.heartbeat;
  on_acknowledge(welcome.acknowledged);
  events_sent_ = acknowledged_;
  if (tunnels_) tunnels_->update(welcome.gateways, welcome.tunnel_ticket);
  changed();
}

void NodeAgent::disconnected() {
  session_ = nullptr;
}

void NodeAgent::received(link::Message message) {
  if (const auto* desired = std::get_if<link::Desired>(&message)) {
    apply(*desired);
  } else if (const auto* acknowledge = std::get_if<link::Acknowledge>(&message)) {
    on_acknowledge(acknowledge->sequence);
  } else if (const auto* reply = std::get_if<link::TokenReply>(&message)) {
    tokens_.on_reply(*reply);
  } else if (const auto* welcome = std::get_if<link::Welcome>(&message)) {
    if (tunnels_) tunnels_->update(welcome->gateways, welcome->tunnel_ticket);
    on_acknowledge(welcome->acknowledged);
  }
  // Anything else is proof of life, or of a newer version.
}

void NodeAgent::on_acknowledge(int64_t sequence) {
  acknowledged_ = std::max(acknowledged_, sequence);
  journal_.acknowledge(sequence);
}

void NodeAgent::apply(const link::Desired& desired) {
  if (desired.revision < revision_) return;
  std::set<std::string> wanted;
  for (const link::Assignment& assignment : desired.assignments) {
    wanted.insert(assignment.allocation_id);
    gone_.erase(assignment.allocation_id);
    const auto found = supervisors_.find(assignment.allocation_id);
    if (found != supervisors_.end()) {
      found->second->update(assignment);
    } else {
      add(assignment);
    }
  }
  for (auto& [id, supervisor] : supervisors_) {
    if (wanted.contains(id)) continue;
    supervisor->stop();
    gone_.insert(id);
  }
  revision_ = desired.revision;
  changed();
}

void NodeAgent::add(const link::Assignment& assignment) {
  AllocationRecord record;
  record.assignment = assignment;
  auto& supervisor = supervisors_[assignment.allocation_id];
  supervisor = std::make_unique<InstanceSupervisor>(home_, std::move(record));
  if (assignment.stop) {
    supervisor->refuse(RunOutcome::Stopped, "it does not run here");
  } else if (mode() != NodeMode::Active) {
    supervisor->refuse(RunOutcome::Replace, stopping_ ? "the agent of this machine is stopping"
                                            : mode() == NodeMode::Paused
                                                ? "the owner of this machine paused it"
                                                : "the owner of this machine drains it");
  } else {
    supervisor->begin(std::nullopt);
  }
}

Task<Result<>> NodeAgent::speak(link::Session& session) {
  std::optional<Result<>> reported;
  std::optional<Result<>> shipped;
  // Shipping ends at once where it is switched off; reporting goes on.
  co_await join(detail::store_result(report_loop(session), reported),
                detail::store_result(logs_.ship(session), shipped));
  if (reported && !*reported) co_return reported->error();
  co_return Result<>();
}

Task<Result<>> NodeAgent::report_loop(link::Session& session) {
  Clock& clock = parts_.clock;
  TimePoint beat = clock.now();
  TimePoint reported = clock.now() - settings_.report_gap;
  TimePoint events_said = clock.now();
  const Duration heartbeat = heartbeat_;
  while (true) {
    const TimePoint now = clock.now();
    if (events_sent_ > acknowledged_ && journal_.size() > 0 && now >= events_said + kEventsAgain) {
      events_sent_ = acknowledged_;
      dirty_ = true;
    }
    if (dirty_ && now >= reported + settings_.report_gap) {
      if (journal_.last_sequence() > events_sent_) events_said = now;
      CO_TRY_DO(send_report(session));
      reported = now;
    }
    // Also beside reports: the cloud's answer to it is our proof that the cloud lives.
    if (now >= beat + heartbeat) {
      link::Heartbeat message{.time = to_unix_nanos(clock.wall_now())};
      CO_TRY_DO(session.send(message));
      beat = now;
    }
    TimePoint next = beat + heartbeat;
    if (dirty_) next = std::min(next, reported + settings_.report_gap);
    CO_TRY_DO(co_await changed_.wait_until(clock, next));
  }
}

link::Report NodeAgent::report() const {
  link::Report report{.revision = revision_, .mode = mode()};
  for (const auto& [id, supervisor] : supervisors_)
    report.instances.push_back(supervisor->report());
  return report;
}

Result<> NodeAgent::send_report(link::Session& session) {
  dirty_ = false;
  link::Report message = report();
  // A session keeps the order and breaks when it loses anything, so each event is said once in it.
  message.events_after = events_sent_;
  message.events = journal_.after(events_sent_);
  events_sent_ = journal_.last_sequence();
  return session.send(message);
}

}  // namespace mesclun::agent
