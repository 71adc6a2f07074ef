// For the tests of this folder: a node under virtual time, with a cloud that does what it is told.
#pragma once

#include "agent/node_agent.h"
#include "base/ids.h"
#include "base/test_loop.h"
#include "runtime/fake_driver.h"

namespace mesclun::agent {

// The other end of sessions: welcomes, says what is desired, keeps what it hears.
class FakeCloud final : public link::Dialer {
 public:
  FakeCloud(const asio::any_io_executor& executor, Clock& clock)
      : executor_(executor), clock_(clock), scope_(executor, "fake cloud") {}

  bool down = false;
  bool silent = false;  // after the welcome
  bool deaf = false;    // hears nothing of what is said
  bool acknowledges = true;
  std::optional<link::Goodbye> refusal;
  link::Welcome welcome{.heartbeat_ms = 5'000};
  link::Desired desired{.revision = 1};
  std::map<link::SpecName, link::Spec> specs;  // said before each Desired that names them
  std::string jwt = "token-1";
  Duration jwt_life = 300s;

  int dials = 0;
  int sessions = 0;
  int reports = 0;
  int token_requests = 0;
  int specs_sent = 0;
  link::Hello last_hello;
  link::Report last;
  std::vector<link::InstanceEvent> events;  // each sequence once
  std::vector<link::LogBatch> logs;         // each sequence once
  bool stores_logs = true;
  int64_t logs_stored = 0;
  int log_batches = 0;  // also those that came again

  Task<Result<link::SessionPtr>> dial() override {
    ++dials;
    if (down) co_return Error::unavailable("connection refused");
    auto [ours, theirs] = link::memory_session_pair(executor_, clock_);
    scope_.spawn(serve(std::move(theirs)));
    co_return std::move(ours);
  }
  // Says what is desired, with a new revision.
  void say() {
    ++desired.revision;
    if (session_ != nullptr) say_desired(*session_);
  }
  void say_quietly(const link::Message& message) {
    if (session_ == nullptr) return;
    std::ignore = session_->send(message);
  }
  void hang_up() {
    if (session_ != nullptr) session_->close();
  }
  Task<void> close() { co_await scope_.stop(); }

  link::Assignment& assign(const std::string& allocation_id, const json::object& spec) {
    link::Assignment& a = desired.assignments.emplace_back();
    a.allocation_id = allocation_id;
    a.instance_id = "instance-of-" + allocation_id;
    const auto of_others = specs.find({"group-id", 1});
    const bool other = of_others != specs.end() && of_others->second.spec != spec;
    a.group_id = other ? "group-of-" + allocation_id : "group-id";
    set_spec(a, spec);
    return a;
  }
  // As the spec of the version that the assignment names.
  void set_spec(const link::Assignment& a, const json::object& spec) {
    const link::GroupIdentity group{a.group_id, "group",           "project-id",
                                    "project",  "organization-id", "organization"};
    specs[{a.group_id, a.wish.version}] = {group, a.wish.version, spec};
  }
  const link::InstanceReport* find(const std::string& allocation_id) const {
    for (const link::InstanceReport& instance : last.instances) {
      if (instance.allocation_id == allocation_id) return &instance;
    }
    return nullptr;
  }
  std::vector<std::string> event_names() const {
    std::vector<std::string> names;
    for (const link::InstanceEvent& event : events) names.push_back(event.name);
    return names;
  }

 private:
  Task<Result<>> serve(link::SessionPtr owned) {
    link::Session& session = *owned;
    CO_TRY(const link::Message first, co_await session.receive());
    last_hello = std::get<link::Hello>(first);
    if (refusal) {
      CO_TRY_DO(session.send(*refusal));
      session.close();
      co_return Result<>();
    }
    ++sessions;
    known_.clear();
    welcome.logs_acknowledged = logs_stored;
    CO_TRY_DO(session.send(welcome));
    session_ = &session;
    bool said = silent;
    while (true) {
      Result<link::Message> message = co_await session.receive();
      if (!message) break;
      hear(session, *message);
      // As the cloud does: once the node has reported.
      if (!said && std::holds_alternative<link::Report>(*message)) {
        say_desired(session);
        said = true;
      }
    }
    if (session_ == &session) session_ = nullptr;
    co_return Result<>();
  }
  void say_desired(link::Session& session) {
    std::set<link::SpecName> named;
    for (const link::Assignment& a : desired.assignments) {
      const auto name = a.spec();
      if (!name || !named.insert(*name).second || known_.contains(*name)) continue;
      ++specs_sent;
      std::ignore = session.send(specs.at(*name));
    }
    known_ = std::move(named);
    std::ignore = session.send(desired);
  }
  void hear(link::Session& session, const link::Message& message) {
    if (deaf) return;
    if (const auto* known = std::get_if<link::KnownSpecs>(&message)) {
      known_.insert(known->specs.begin(), known->specs.end());
    } else if (const auto* report = std::get_if<link::Report>(&message)) {
      ++reports;
      last = *report;
      for (const link::InstanceEvent& event : report->events) {
        if (events.empty() || events.back().sequence < event.sequence) events.push_back(event);
      }
      if (acknowledges && !report->events.empty() && !silent) {
        say_quietly(link::Acknowledge{report->events.back().sequence});
      }
    } else if (const auto* batch = std::get_if<link::LogBatch>(&message)) {
      ++log_batches;
      if (!stores_logs || batch->sequence <= logs_stored || batch->after > logs_stored) return;
      logs.push_back(*batch);
      logs_stored = batch->sequence;
      if (!silent) say_quietly(link::LogAcknowledge{logs_stored});
    } else if (const auto* request = std::get_if<link::TokenRequest>(&message)) {
      ++token_requests;
      const int64_t expires = to_unix_seconds(clock_.wall_now() + jwt_life);
      if (!silent) say_quietly(link::TokenReply{request->group_id, jwt, expires});
    } else if (!silent) {
      std::ignore = session.send(link::Heartbeat{});
    }
  }

  asio::any_io_executor executor_;
  Clock& clock_;
  link::Session* session_ = nullptr;
  std::set<link::SpecName> known_;  // to the node
  Scope scope_;
};

// One machine with its cloud. The agent may be killed and begun again; driver and store stay.
class TestNode {
 public:
  VirtualLoop loop;
  SeededRandom random{1};
  MemoryStateStore store;
  runtime::FakeDriver driver{loop.executor(), loop.clock, random};
  FakeCloud cloud{loop.executor(), loop.clock};
  AgentSettings settings;
  TunnelDialer* tunnels = nullptr;
  LogSegments* log_segments = nullptr;
  // What the agent is shown instead of those above.
  Clock* shown_clock = &loop.clock;
  StateStore* shown_store = &store;
  runtime::ContainerDriver* shown_driver = &driver;
  std::unique_ptr<NodeAgent> agent;

  ~TestNode() {
    if (agent) kill();
    loop.run(close_all());
  }
  void start() {
    NodeAgent::Parts parts{.executor = loop.executor(),
                           .clock = *shown_clock,
                           .random = random,
                           .driver = *shown_driver,
                           .store = *shown_store,
                           .dialer = cloud,
                           .tunnels = tunnels,
                           .log_segments = log_segments};
    link::NodeFacts facts{.hostname = "box", .cpu = 4, .memory_mb = 8192, .cpu_share_percent = 50};
    agent = std::make_unique<NodeAgent>(parts, settings, facts, "join");
    loop.run(agent->start());
  }
  // Like kill -9, but for the memory: nothing is stopped, nothing more is said.
  void kill() {
    loop.run(close_agent());
    agent.reset();
  }
  void run_for(Duration length) { loop.clock.run_for(length); }
  template <class Predicate>
  bool until(Predicate done, Duration limit = 60s) {
    return loop.clock.run_while_not(done, limit);
  }
  link::ReplicaStatus report(const std::string& allocation_id = "a") const {
    const link::InstanceReport* found = cloud.find(allocation_id);
    return found == nullptr ? link::ReplicaStatus{} : found->status;
  }
  // The supervisor of the one live run.
  InstanceSupervisor& instance() { return *agent->find_instance(driver.live().at(0)); }

 private:
  Task<Result<>> close_agent() {
    co_await agent->close();
    co_return Result<>();
  }
  Task<Result<>> close_all() {
    co_await cloud.close();
    co_await driver.close();
    co_return Result<>();
  }
};

// A group in the shape that the cloud sends.
inline json::object test_spec(std::string_view more = "{}") {
  json::value spec = json::parse(R"({
    "name": "group", "display_name": "group", "autostart_policy": true,
    "restart_policy": "always", "replicas": 1, "country_codes": [], "scaling-actions": [],
    "scheduled-scaling-enabled": false,
    "container": {"image": "app:1", "command": ["app"], "environment_variables": {},
      "resources": {"cpu": 2, "memory": 1024, "gpu_classes": []}}
  })");
  return merge_patch(std::move(spec), json::parse(more)).as_object();
}

}  // namespace mesclun::agent
