#include "cloud/node_hub.h"

#include "api/names.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/race.h"
#include "base/text.h"
#include "cloud/fleet_nodes.h"
#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"
#include "link/conversation.h"
#include "link/ticket.h"

namespace mesclun::cloud {

namespace {

constexpr Duration kGoodbyeTime = 200ms;
constexpr Duration kRefusedSaid = 10s;  // between two lines of the log
// 0.1 + 0.2 + … + 3.2 s: an agent hears no heartbeat meanwhile, and gives up after 15 s.
constexpr Duration kOverloadedAgain = 100ms;
constexpr Duration kOverloadedMax = 3200ms;

}  // namespace

NodeHub::NodeHub(const asio::any_io_executor& executor, Clock& clock, NodeHubSettings settings,
                 Fleet& fleet, FleetLoop& loop, const GpuClasses& gpu_classes,
                 WorkloadTokens& tokens, PullGrants& pull_grants, LogTable& logs, UsageTable& usage)
    : clock_(clock),
      settings_(std::move(settings)),
      fleet_(fleet),
      loop_(loop),
      gpu_classes_(gpu_classes),
      tokens_(tokens),
      pull_grants_(pull_grants),
      logs_(logs),
      usage_(usage),
      strangers_(settings_.strangers),
      scope_(executor, "agent sessions") {}

void NodeHub::serve(link::SessionPtr session) {
  std::optional<PeerLimit::Place> place = strangers_.enter(session->peer_address());
  if (!place || scope_.running() >= settings_.sessions_max) {
    refuse(*session);
    return;
  }
  scope_.spawn(run_session(std::move(session), *std::move(place)));
}

// A flood of sessions is no flood of lines.
void NodeHub::refuse(link::Session& session) {
  ++refused_;
  if (clock_.now() >= refused_said_ + kRefusedSaid) {
    log_warning("nodes", "too many sessions; some were refused",
                {{"refused", refused_},
                 {"peer", session.peer_address()},
                 {"max", settings_.sessions_max},
                 {"strangers_max", settings_.strangers.all},
                 {"strangers_of_address_max", settings_.strangers.of_address}});
    refused_ = 0;
    refused_said_ = clock_.now();
  }
  session.close();
}

Task<Result<>> NodeHub::run_session(link::SessionPtr session, PeerLimit::Place place) {
  Joined node{.number = ++last_number_};
  std::ignore = co_await link::answer(*session, clock_, talk(*session, node, std::move(place)));
  if (node.id.empty()) co_return Result<>();
  const Node* known = fleet_.nodes.find(node.id);
  const bool ours = known != nullptr && known->live.session == node.number;
  log_info("nodes", "session ended",
           {{"machine_id", node.id}, {"not_taken", ours ? known->live.refused : 0}});
  FleetLoop::Command left = [node](Fleet& fleet, Moment now) -> Result<> {
    node_left(fleet, node.id, node.number, now);
    return {};
  };
  co_return co_await loop_.submit(std::move(left));
}

Task<Result<>> NodeHub::let_in(link::Session& session, Joined& node, PeerLimit::Place place) {
  const PeerLimit::Place until_it_is_known = std::move(place);
  CO_TRY(link::Hello hello, co_await link::hear_first<link::Hello>(
                                session, Error::invalid("a session begins with hello")));
  hello.machine_id = lower_case(hello.machine_id);
  CO_TRY_DO(check(hello));
  CO_TRY_DO(resolve_gpus(hello.facts));
  FleetLoop::Command join = [hello, number = node.number](Fleet& fleet, Moment now) {
    return node_joined(fleet, hello, number, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(join)));
  node.id = hello.machine_id;
  node.runs_commands = std::ranges::find(hello.understands, "exec") != hello.understands.end();
  session.let_in();
  co_return Result<>();
}

Task<Result<>> NodeHub::talk(link::Session& session, Joined& node, PeerLimit::Place place) {
  CO_TRY_DO(co_await let_in(session, node, std::move(place)));
  // Another turn may have taken events of its last session, and not stored them yet.
  CO_TRY_DO(co_await loop_.settled());
  Live live{.node = node,
            .session = session,
            .sender = {scope_.executor(), session},
            .execs = {scope_.executor(), session}};
  if (const Node* known = fleet_.nodes.find(node.id)) live.acknowledged = known->acknowledged;
  Live*& newest = live_[node.id];
  if (newest != nullptr) newest->session.close();
  newest = &live;
  log_info("nodes", "session began", {{"machine_id", node.id}, {"peer", session.peer_address()}});
  Result<> ended = session.send(make_welcome(live));
  if (ended) ended = co_await link::beside(listen(live), speak(live));
  const auto listed = live_.find(node.id);
  if (listed != live_.end() && listed->second == &live) live_.erase(listed);
  co_return ended;
}

// Each ends only with the session.
Task<Result<>> NodeHub::speak(Live& live) {
  std::optional<Result<>> ended[2];
  co_await join(detail::store_result(live.sender.run(), ended[0]),
                detail::store_result(live.execs.run(), ended[1]));
  co_return Result<>();
}

Result<> NodeHub::check_exec(const std::string& node_id) const {
  const auto found = live_.find(node_id);
  if (found == live_.end()) {
    return Error::unavailable("the machine of this instance has no connection to the cloud now");
  }
  if (found->second->node.runs_commands) return {};
  return Error{ErrorCode::Unimplemented,
               "the agent of this instance's machine is of a version that runs no commands for "
               "people"};
}

Result<std::unique_ptr<NodeExec>> NodeHub::open_exec(const std::string& node_id,
                                                     link::ExecOpen order) {
  TRY_DO(check_exec(node_id));
  return live_.find(node_id)->second->execs.open(std::move(order));
}

Result<> NodeHub::check(const link::Hello& hello) const {
  if (hello.protocol != link::kProtocolVersion) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("the agent speaks protocol {}, this cloud {}; use the same version of "
                             "mesclun",
                             hello.protocol, link::kProtocolVersion)};
  }
  if (!is_uuid(hello.machine_id)) return Error::invalid("the machine id is no uuid");
  if (hello.node_secret.size() < 16) return Error::invalid("the machine's secret is too short");
  if (!hello.facts.country.empty() && !api::is_country_code(hello.facts.country)) {
    return Error::invalid(
        fmt::format("'{}' is no country code", hello.facts.country.substr(0, 16)));
  }
  if (hello.facts.cpu < 1 || hello.facts.memory_mb < 1) {
    return Error::invalid("a node offers at least one core and 1 MB of memory");
  }
  const bool known = fleet_.nodes.find(hello.machine_id) != nullptr;
  if (!known && !equal_secret(hello.join_token, settings_.join_token)) {
    return Error{ErrorCode::Unauthenticated,
                 "the join token is not this cloud's; the operator finds it in the cloud's data "
                 "folder"};
  }
  return {};
}

// A node names its GPUs as their makers do, without knowing our ids.
Result<> NodeHub::resolve_gpus(link::NodeFacts& facts) const {
  for (link::GpuFacts& gpu : facts.gpus) {
    const std::string said = gpu.class_id.empty() ? gpu.name : gpu.class_id;
    const auto found = api::find_gpu_class(gpu_classes_.all(), said);
    if (found) {
      gpu.class_id = (*found)->id;
      if (gpu.name.empty() || gpu.pretended) gpu.name = trim_blanks((*found)->name);
      continue;
    }
    if (gpu.pretended) {
      return Error::invalid("--gpu-class: " + found.error().message +
                            ", or let the operator add it: mesclun gpu-class add NAME");
    }
    gpu.class_id.clear();
    facts.warnings.push_back(
        fmt::format("GPU '{}' is of no class of this cloud and gets no work; the operator adds "
                    "it: mesclun gpu-class add '{}'",
                    gpu.name, gpu.name));
  }
  return {};
}

link::Welcome NodeHub::make_welcome(const Live& live) const {
  const int64_t expires = to_unix_seconds(clock_.wall_now() + settings_.ticket_life);
  return {.heartbeat_ms = static_cast<int32_t>(to_millis(settings_.heartbeat)),
          .gateways = gateways_,
          .tunnel_ticket = link::make_tunnel_ticket(settings_.tunnel_secret, live.node.id, expires),
          .acknowledged = live.acknowledged,
          .logs_acknowledged = logs_.stored(live.node.id)};
}

Task<Result<>> NodeHub::listen(Live& live) {
  const Joined& node = live.node;
  TimePoint renew = clock_.now() + settings_.ticket_life / 3;
  const TimePoint report_due = clock_.now() + fleet_.settings.node_grace;
  while (true) {
    CO_TRY(link::Message message,
           co_await link::hear(live.session, link::silence_of_dialler(settings_.heartbeat)));
    const Node* known = fleet_.nodes.find(node.id);
    if (known == nullptr) co_return forgotten_error();
    if (known->banned) co_return banned_error();
    if (known->live.session != node.number) {
      // Silent for longer than the grace, or replaced by a newer session: begin anew.
      co_return Error::unavailable("the session is void");
    }
    if (!known->live.reported && clock_.now() >= report_due &&
        !std::holds_alternative<link::Report>(message)) {
      co_return Error::unavailable("no report came");
    }
    node_heard(fleet_, node.id, node.number, loop_.now());
    CO_TRY_DO(co_await handle(live, std::move(message)));
    warn_of_refused(live);
    if (clock_.now() < renew) continue;
    renew = clock_.now() + settings_.ticket_life / 3;
    CO_TRY_DO(live.session.send(make_welcome(live)));
  }
}

// Once a session: an honest node says such things too, about what has just been taken from it.
void NodeHub::warn_of_refused(Live& live) const {
  const Node* known = fleet_.nodes.find(live.node.id);
  if (live.warned_of_refused || known == nullptr || known->live.refused == 0) return;
  live.warned_of_refused = true;
  log_warning("nodes", "a node speaks of what is not placed on it; that is not taken",
              {{"machine_id", live.node.id}});
}

Task<Result<>> NodeHub::handle(Live& live, link::Message message) {
  if (auto* report = std::get_if<link::Report>(&message)) {
    CO_TRY(auto whole, live.report.take(std::move(*report)));
    if (whole) CO_TRY_DO(co_await take_report(live.node, *std::move(whole)));
  } else if (auto* known = std::get_if<link::KnownSpecs>(&message)) {
    CO_TRY(auto whole, live.known_specs.take(std::move(*known)));
    if (whole) live.sender.knows(std::move(whole->specs));
  } else if (auto* logs = std::get_if<link::LogBatch>(&message)) {
    const Group* group = fleet_.groups.find(logs->group_id);
    if (group != nullptr && may_speak_of(fleet_, live.node.id, logs->group_id)) {
      LogOwner owner{group->organization_id, group->project_name, group->spec.name};
      logs_.append(live.node.id, std::move(owner), std::move(*logs));
    } else {
      logs_.discard(live.node.id, std::move(*logs));
    }
  } else if (auto* usage = std::get_if<link::Usage>(&message)) {
    CO_TRY(const auto whole, live.usage.take(std::move(*usage)));
    if (whole) usage_.take_node(live.node.id, *whole, clock_.now());
  } else if (const auto* request = std::get_if<link::TokenRequest>(&message)) {
    answer_token(live.session, live.node.id, *request);
  } else if (const auto* pull = std::get_if<link::PullRequest>(&message)) {
    answer_pull(live.node, *pull);
  } else if (std::holds_alternative<link::Heartbeat>(message)) {
    CO_TRY_DO(live.session.send(link::heartbeat_at(clock_)));
  } else if (!live.execs.take(message)) {
    co_return Error::invalid("an agent does not say that");
  }
  co_return Result<>();
}

Task<Result<>> NodeHub::take_report(Joined node, link::Report report) {
  FleetLoop::Command command = [node, report = std::move(report)](Fleet& fleet,
                                                                  Moment now) -> Result<> {
    node_reported(fleet, node.id, node.number, report, now);
    return {};
  };
  for (Duration wait = kOverloadedAgain;; wait *= 2) {
    const Result<> stored = co_await loop_.submit(command);
    // A failed commit is not the agent's fault: everybody is told anew, and reports.
    if (stored || stored.code() == ErrorCode::Unavailable) co_return Result<>();
    // An overloaded cloud asks nobody again. We do not listen meanwhile; if it goes on, the agent
    // dials anew, later, and says everything.
    const bool again = stored.code() == ErrorCode::ResourceExhausted && wait <= kOverloadedMax;
    if (!again) co_return stored;
    CO_TRY_DO(co_await clock_.sleep_for(wait));
  }
}

// In the shape of now. Called while memory is as it is stored.
SpecMessage NodeHub::find_spec(const link::SpecName& name) {
  const Group* group = fleet_.groups.find(name.group_id);
  const api::GroupSpec* wanted = group == nullptr ? nullptr : spec_of_version(*group, name.version);
  if (wanted == nullptr) return nullptr;
  std::weak_ptr<const link::Message>& shared = specs_[name];
  SpecMessage spec = shared.lock();
  if (spec) return spec;
  // Forgetting costs a look at all, so it is done when a new one is made.
  std::erase_if(specs_, [&](const auto& s) { return s.first != name && s.second.expired(); });
  spec = std::make_shared<const link::Message>(spec_of(*group, name.version, *wanted));
  specs_[name] = spec;
  return spec;
}

void NodeHub::answer_token(link::Session& session, const std::string& node_id,
                           const link::TokenRequest& request) {
  link::TokenReply reply{.group_id = request.group_id};
  const Group* group = fleet_.groups.find(request.group_id);
  if (group != nullptr && is_placed_on(fleet_, request.group_id, node_id)) {
    if (auto issued = tokens_.issue(*group, node_id)) {
      reply = *std::move(issued);
    } else {
      log_error("tokens", "cannot sign", {{"error", to_string(issued.error())}});
    }
  }
  const link::Message message = std::move(reply);
  std::ignore = session.send(message);
}

// By the session that asked, if it is still there.
void NodeHub::answer_pull(const Joined& node, const link::PullRequest& request) {
  pull_grants_.ask(node.id, request.spec, [this, node](link::PullReply reply) {
    const auto found = live_.find(node.id);
    if (found == live_.end() || found->second->node.number != node.number) return;
    const link::Message message = std::move(reply);
    std::ignore = found->second->session.send(message);
  });
}

void NodeHub::expel(const std::string& node_id, const Error& why) {
  const auto found = live_.find(node_id);
  if (found == live_.end()) return;
  const link::Message goodbye =
      link::Goodbye{.code = std::string(to_string(why.code)), .reason = why.message};
  std::ignore = found->second->session.send(goodbye);
  scope_.spawn(close_soon(found->second->node));
}

// The Goodbye gets a moment to leave; whoever understands it closes sooner.
Task<Result<>> NodeHub::close_soon(Joined node) {
  CO_TRY_DO(co_await clock_.sleep_for(kGoodbyeTime));
  const auto found = live_.find(node.id);
  const bool same = found != live_.end() && found->second->node.number == node.number;
  if (same) found->second->session.close();
  co_return Result<>();
}

void NodeHub::set_gateways(std::vector<std::string> endpoints) {
  if (endpoints == gateways_) return;
  gateways_ = std::move(endpoints);
  for (const auto& [node_id, live] : live_) {
    const link::Message message = make_welcome(*live);
    std::ignore = live->session.send(message);
  }
}

void NodeHub::gpu_classes_changed() {
  for (const auto& [node_id, live] : live_) {
    const Node* node = fleet_.nodes.find(node_id);
    if (node == nullptr) continue;
    const auto of_no_class = [](const link::GpuFacts& gpu) { return gpu.class_id.empty(); };
    if (std::ranges::any_of(node->facts.gpus, of_no_class)) live->session.close();
  }
}

void NodeHub::send_desired(const std::string& node_id, int64_t session,
                           const link::Desired& desired) {
  const auto found = live_.find(node_id);
  if (found == live_.end() || found->second->node.number != session) return;
  found->second->sender.want(desired,
                             [this](const link::SpecName& name) { return find_spec(name); });
}

void NodeHub::acknowledge(const std::string& node_id, int64_t session, int64_t sequence) {
  const auto found = live_.find(node_id);
  if (sequence == 0 || found == live_.end() || found->second->node.number != session) return;
  found->second->acknowledged = std::max(found->second->acknowledged, sequence);
  const link::Message message = link::Acknowledge{.sequence = sequence};
  std::ignore = found->second->session.send(message);
}

// To whatever session the node has now: sequences are the node's, not a session's.
void NodeHub::acknowledge_logs(const std::string& node_id, int64_t sequence) {
  const auto found = live_.find(node_id);
  if (found == live_.end()) return;
  const link::Message message = link::LogAcknowledge{.sequence = sequence};
  std::ignore = found->second->session.send(message);
}

}  // namespace mesclun::cloud
