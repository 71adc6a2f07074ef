// The agent's side of the session: what the cloud says is applied, what happens here is said.
#include "agent/node_agent.h"
#include "base/log.h"
#include "base/race.h"

namespace mesclun::agent {

using link::NodeMode;
using link::RunOutcome;

namespace {

// Events that a report carried and nobody acknowledged are said again at the first heartbeat after
// this time.
constexpr Duration kEventsAgain = 3s;

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
  supervisor = std::make_unique<InstanceSupervisor>(supervisor_parts_, std::move(record));
  if (assignment.wish.stop) {
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
  // Each ends only with the session, and a session that one of them finds broken is broken for all.
  std::optional<Result<>> ended[3];
  co_await join(detail::store_result(report_loop(session), ended[0]),
                join(detail::store_result(heartbeat_loop(session), ended[1]),
                     detail::store_result(logs_.ship(session), ended[2])));
  co_return Result<>();
}

// At once when something changed, then not again before the gap.
Task<Result<>> NodeAgent::report_loop(link::Session& session) {
  while (true) {
    while (!dirty_) CO_TRY_DO(co_await changed_.wait());
    CO_TRY_DO(send_report(session));
    CO_TRY_DO(co_await parts_.clock.sleep_for(settings_.report_gap));
  }
}

// Also beside reports: the cloud's answer to it is our proof that the cloud lives.
Task<Result<>> NodeAgent::heartbeat_loop(link::Session& session) {
  Clock& clock = parts_.clock;
  while (true) {
    CO_TRY_DO(co_await clock.sleep_for(heartbeat_));
    link::Heartbeat message{.time = to_unix_nanos(clock.wall_now())};
    CO_TRY_DO(session.send(message));
    const bool waiting = events_sent_ > acknowledged_ && journal_.size() > 0;
    if (waiting && clock.now() >= events_said_ + kEventsAgain) {
      events_sent_ = acknowledged_;
      changed();
    }
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
  if (journal_.last_sequence() > events_sent_) events_said_ = parts_.clock.now();
  message.events_after = events_sent_;
  message.events = journal_.after(events_sent_);
  events_sent_ = journal_.last_sequence();
  return session.send(message);
}

}  // namespace mesclun::agent
