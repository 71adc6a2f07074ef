#include "agent/node_session.h"

#include "base/race.h"

namespace mesclun::agent {

namespace {

// Events that a report carried and nobody acknowledged are said again at the first heartbeat after
// this time.
constexpr Duration kEventsAgain = 3s;

}  // namespace

NodeSession::NodeSession(Parts parts, SessionSubject& subject)
    : parts_(std::move(parts)),
      subject_(subject),
      keeper_("agent", parts_.clock, parts_.random, parts_.dialer, parts_.settings.cloud),
      changed_(parts_.executor) {}

Task<Result<>> NodeSession::run() {
  return keeper_.run([this](link::Session& session) { return talk(session); });
}

void NodeSession::changed() {
  dirty_ = true;
  changed_.notify_all();
}

bool NodeSession::ask(const link::Message& question) {
  return session_ != nullptr && session_->send(question).has_value();
}

Task<Result<>> NodeSession::talk(link::Session& session) {
  CO_TRY_DO(session.send(subject_.hello()));
  CO_TRY(const link::Welcome welcome,
         co_await link::hear_first<link::Welcome>(
             session, Error::unavailable("the cloud did not answer the hello with a welcome")));
  keeper_.stands(session);
  const Duration heartbeat = welcome.heartbeat_ms > 0
                                 ? Duration(std::chrono::milliseconds(welcome.heartbeat_ms))
                                 : parts_.settings.heartbeat;
  session_ = &session;
  revision_ = 0;
  on_acknowledge(welcome.acknowledged);
  events_sent_ = acknowledged_;
  parts_.logs.begin(welcome.logs_acknowledged);
  subject_.welcomed(welcome);
  CO_TRY_DO(co_await say_known_specs(session));
  changed();
  const Result<> ended = co_await stand(session, heartbeat);
  session_ = nullptr;
  co_return ended;
}

// What runs for people ends with the session that it came by.
Task<Result<>> NodeSession::stand(link::Session& session, Duration heartbeat) {
  ExecHub execs({.executor = parts_.executor,
                 .session = session,
                 .open = [this](std::string instance_id, runtime::ExecSpec spec) {
                   return subject_.open_exec(std::move(instance_id), std::move(spec));
                 }});
  execs_ = &execs;
  const Result<> ended = co_await link::beside(
      listen(session, link::silence_of_answerer(heartbeat)), speak(session, heartbeat));
  execs_ = nullptr;
  co_await execs.close();
  co_return ended;
}

Task<Result<>> NodeSession::say_known_specs(link::Session& session) {
  for (link::KnownSpecs& part : link::in_parts(subject_.known_specs(), &link::KnownSpecs::specs)) {
    CO_TRY_DO(co_await session.wait_for_room());
    CO_TRY_DO(session.send(std::move(part)));
  }
  co_return Result<>();
}

Task<Result<>> NodeSession::listen(link::Session& session, Duration silence_max) {
  link::GatherDesired gather;
  while (true) {
    CO_TRY(link::Message message, co_await link::hear(session, silence_max));
    CO_TRY_DO(received(std::move(message), gather));
  }
}

Result<> NodeSession::received(link::Message message, link::GatherDesired& gather) {
  if (auto* desired = std::get_if<link::Desired>(&message)) {
    TRY(const auto whole, gather.take(std::move(*desired)));
    if (whole) on_desired(*whole);
  } else if (auto* spec = std::get_if<link::Spec>(&message)) {
    TRY_DO(subject_.learn(std::move(*spec)));
  } else if (const auto* acknowledge = std::get_if<link::Acknowledge>(&message)) {
    on_acknowledge(acknowledge->sequence);
  } else if (const auto* stored = std::get_if<link::LogAcknowledge>(&message)) {
    parts_.logs.acknowledge(stored->sequence);
  } else if (const auto* reply = std::get_if<link::TokenReply>(&message)) {
    parts_.tokens.on_reply(*reply);
  } else if (auto* pull = std::get_if<link::PullReply>(&message)) {
    parts_.pulls.on_reply(std::move(*pull));
  } else if (const auto* welcome = std::get_if<link::Welcome>(&message)) {
    on_acknowledge(welcome->acknowledged);
    subject_.welcomed(*welcome);
  } else if (execs_ != nullptr) {
    std::ignore = execs_->take(message);
  }
  // Anything else is proof of life, or of a newer version.
  return {};
}

void NodeSession::on_desired(const link::Desired& desired) {
  if (desired.revision < revision_) return;
  revision_ = desired.revision;
  subject_.apply(desired);
  changed();
}

void NodeSession::on_acknowledge(int64_t sequence) {
  acknowledged_ = std::max(acknowledged_, sequence);
  parts_.journal.acknowledge(sequence);
}

Task<Result<>> NodeSession::speak(link::Session& session, Duration heartbeat) {
  // Each ends only with the session, and a session that one of them finds broken is broken for all.
  // Heartbeats go out beside reports: the cloud's answer to them is our proof that it lives.
  std::optional<Result<>> ended[4];
  auto beating = link::beat(session, parts_.clock, heartbeat, [this] { repeat_events(); });
  co_await join(detail::store_result(report_loop(session), ended[0]),
                join(detail::store_result(std::move(beating), ended[1]),
                     join(detail::store_result(parts_.logs.ship(session), ended[2]),
                          detail::store_result(usage_loop(session), ended[3]))));
  co_return Result<>();
}

// At once when something changed, then not again before the gap.
Task<Result<>> NodeSession::report_loop(link::Session& session) {
  while (true) {
    while (!dirty_) CO_TRY_DO(co_await changed_.wait());
    CO_TRY_DO(co_await send_report(session));
    CO_TRY_DO(co_await parts_.clock.sleep_for(parts_.settings.report_gap));
  }
}

// Best effort, for people to see: what finds no room is not said.
Task<Result<>> NodeSession::usage_loop(link::Session& session) {
  while (true) {
    const Result<link::Usage> usage = co_await parts_.usage.measure();
    // For a driver that cannot tell.
    if (!usage && usage.code() == ErrorCode::Unimplemented) co_return Result<>();
    if (!usage && usage.code() == ErrorCode::Cancelled) co_return usage.error();
    if (usage) {
      for (link::Usage& part : link::in_parts(*usage, &link::Usage::instances)) {
        CO_TRY_DO(co_await session.wait_for_room());
        CO_TRY_DO(session.send(std::move(part)));
      }
    }
    CO_TRY_DO(co_await parts_.clock.sleep_for(parts_.settings.usage_period));
  }
}

Task<Result<>> NodeSession::send_report(link::Session& session) {
  dirty_ = false;
  link::Report report = subject_.report();
  report.revision = revision_;
  std::vector<link::Report> parts = link::in_parts(std::move(report), &link::Report::instances);
  add_events(parts.back());
  for (link::Report& part : parts) {
    CO_TRY_DO(co_await session.wait_for_room());
    CO_TRY_DO(session.send(std::move(part)));
  }
  co_return Result<>();
}

// As many as a part takes; the rest comes with the next report. A session keeps the order and breaks
// when it loses anything, so each event is said once in it.
void NodeSession::add_events(link::Report& report) {
  if (parts_.journal.last_sequence() > events_sent_) events_said_ = parts_.clock.now();
  report.events_after = events_sent_;
  auto pieces = link::in_pieces(parts_.journal.after(events_sent_));
  report.events = std::move(pieces.front());
  if (pieces.size() == 1) {
    events_sent_ = parts_.journal.last_sequence();
    return;
  }
  events_sent_ = report.events.back().sequence;
  dirty_ = true;
}

void NodeSession::repeat_events() {
  const bool waiting = events_sent_ > acknowledged_ && parts_.journal.size() > 0;
  if (!waiting || parts_.clock.now() < events_said_ + kEventsAgain) return;
  events_sent_ = acknowledged_;
  changed();
}

}  // namespace mesclun::agent
