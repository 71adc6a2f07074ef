// What the node and the cloud tell each other, over as many sessions as it takes.
#pragma once

#include "agent/agent_settings.h"
#include "agent/event_journal.h"
#include "agent/exec_hub.h"
#include "agent/log_shipper.h"
#include "agent/pull_rights.h"
#include "agent/token_cache.h"
#include "agent/usage_meter.h"
#include "link/parts.h"
#include "link/session_keeper.h"

namespace mesclun::agent {

// The node, as far as its session is about it.
class SessionSubject {
 public:
  virtual ~SessionSubject() = default;
  virtual link::Hello hello() const = 0;
  // Everything that is on the node; revision and events are the session's to add.
  virtual link::Report report() const = 0;
  // Specs that the cloud need not say again.
  virtual link::KnownSpecs known_specs() const = 0;
  // A spec that a Desired to come names. ResourceExhausted: too many that none did.
  virtual Result<> learn(link::Spec spec) = 0;
  virtual void apply(const link::Desired& desired) = 0;
  // Where tunnels lead, and their ticket: at the start of each session and now and then.
  virtual void welcomed(const link::Welcome& welcome) = 0;
  // A command beside that run, for people. NotFound: it is not here.
  virtual Task<Result<std::unique_ptr<runtime::ExecStream>>> open_exec(std::string instance_id,
                                                                       runtime::ExecSpec spec) = 0;
};

// Runs on:  the agent's loop.
// Promise:  after changed() a report follows at once, but not sooner than the gap after the last
//           one; an event is said again until it is acknowledged.
// Lifetime: the parts and the subject outlive run().
class NodeSession {
 public:
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    Random& random;
    link::Dialer& dialer;
    EventJournal& journal;
    LogShipper& logs;
    TokenCache& tokens;
    PullRights& pulls;
    UsageMeter& usage;
    const AgentSettings& settings;
  };
  NodeSession(Parts parts, SessionSubject& subject);

  // Until cancelled.
  Task<Result<>> run();
  // Something is to be reported.
  void changed();
  // False while there is no session.
  bool ask(const link::Message& question);
  bool connected() const { return session_ != nullptr; }
  // For people: "connected", or what went wrong last.
  const std::string& state() const { return keeper_.state(); }

 private:
  Task<Result<>> talk(link::Session& session);
  Task<Result<>> stand(link::Session& session, Duration heartbeat);
  Task<Result<>> say_known_specs(link::Session& session);
  Task<Result<>> listen(link::Session& session, Duration silence_max);
  Result<> received(link::Message message, link::GatherDesired& gather);
  void on_desired(const link::Desired& desired);
  void on_welcome(const link::Welcome& welcome);
  void on_acknowledge(int64_t sequence);

  Task<Result<>> speak(link::Session& session, Duration heartbeat);
  Task<Result<>> report_loop(link::Session& session);
  Task<Result<>> send_report(link::Session& session);
  Task<Result<>> usage_loop(link::Session& session);
  void add_events(link::Report& report);
  void repeat_events();

  // Constant after construction.
  const Parts parts_;
  SessionSubject& subject_;

  // Over all sessions.
  link::SessionKeeper keeper_;
  Notify changed_;
  bool dirty_ = false;        // something is to be reported
  int64_t acknowledged_ = 0;  // the highest sequence of an event that the cloud has

  // Of the session that stands; stale without one.
  link::Session* session_ = nullptr;
  ExecHub* execs_ = nullptr;
  int64_t revision_ = 0;     // of the Desired that was applied last
  int64_t events_sent_ = 0;  // the highest sequence that was carried
  TimePoint events_said_{};  // when a report carried some last
};

}  // namespace mesclun::agent
