#include "cloud/node_hub.h"

#include "api/names.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "cloud/fleet_nodes.h"
#include "cloud/fleet_views.h"
#include "link/conversation.h"
#include "link/ticket.h"

namespace mesclun::cloud {

namespace {

constexpr Duration kGoodbyeTime = 200ms;

}  // namespace

NodeHub::NodeHub(const asio::any_io_executor& executor, Clock& clock, NodeHubSettings settings,
                 Fleet& fleet, FleetLoop& loop, const GpuClasses& gpu_classes,
                 WorkloadTokens& tokens, LogTable& logs)
    : clock_(clock),
      settings_(std::move(settings)),
      fleet_(fleet),
      loop_(loop),
      gpu_classes_(gpu_classes),
      tokens_(tokens),
      logs_(logs),
      scope_(executor, "agent sessions") {}

void NodeHub::serve(link::SessionPtr session) {
  if (scope_.running() >= settings_.sessions_max) {
    log_warning("nodes", "too many sessions; one was refused", {{"max", settings_.sessions_max}});
    session->close();
    return;
  }
  scope_.spawn(run_session(std::move(session)));
}

Task<Result<>> NodeHub::run_session(link::SessionPtr session) {
  Joined node{.number = ++last_number_};
  std::ignore = co_await link::answer(*session, clock_, talk(*session, node));
  if (node.id.empty()) co_return Result<>();
  const auto live = live_.find(node.id);
  if (live != live_.end() && live->second.number == node.number) live_.erase(live);
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

Task<Result<>> NodeHub::talk(link::Session& session, Joined& node) {
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
  Live& live = live_[node.id];
  if (live.session != nullptr) live.session->close();
  live = {.number = node.number, .session = &session};
  log_info("nodes", "session began", {{"machine_id", node.id}, {"peer", session.peer_address()}});
  CO_TRY_DO(session.send(make_welcome(node.id)));
  co_return co_await listen(session, node);
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
      if (gpu.name.empty()) gpu.name = (*found)->name;
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

link::Welcome NodeHub::make_welcome(const std::string& node_id) const {
  const Node* node = fleet_.nodes.find(node_id);
  const int64_t expires = to_unix_seconds(clock_.wall_now() + settings_.ticket_life);
  return {.heartbeat_ms = static_cast<int32_t>(to_millis(settings_.heartbeat)),
          .gateways = gateways_,
          .tunnel_ticket = link::make_tunnel_ticket(settings_.tunnel_secret, node_id, expires),
          .acknowledged = node == nullptr ? 0 : node->acknowledged};
}

Task<Result<>> NodeHub::listen(link::Session& session, const Joined& node) {
  TimePoint renew = clock_.now() + settings_.ticket_life / 3;
  const TimePoint report_due = clock_.now() + fleet_.settings.node_grace;
  bool refused = false;
  while (true) {
    CO_TRY(link::Message message,
           co_await link::hear(session, link::silence_of_dialler(settings_.heartbeat)));
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
    CO_TRY_DO(co_await handle(session, node, std::move(message)));
    warn_of_refused(node, refused);
    if (clock_.now() < renew) continue;
    renew = clock_.now() + settings_.ticket_life / 3;
    CO_TRY_DO(session.send(make_welcome(node.id)));
  }
}

// Once a session: an honest node says such things too, about what has just been taken from it.
void NodeHub::warn_of_refused(const Joined& node, bool& warned) const {
  const Node* known = fleet_.nodes.find(node.id);
  if (warned || known == nullptr || known->live.refused == 0) return;
  warned = true;
  log_warning("nodes", "a node speaks of what is not placed on it; that is not taken",
              {{"machine_id", node.id}});
}

Task<Result<>> NodeHub::handle(link::Session& session, const Joined& node, link::Message message) {
  if (auto* report = std::get_if<link::Report>(&message)) {
    FleetLoop::Command command = [node, report = std::move(*report)](Fleet& fleet,
                                                                     Moment now) -> Result<> {
      node_reported(fleet, node.id, node.number, report, now);
      return {};
    };
    // A failed commit is not the agent's fault: it will be asked again.
    const Result<> stored = co_await loop_.submit(std::move(command));
    if (!stored && stored.code() == ErrorCode::Cancelled) co_return stored;
  } else if (auto* logs = std::get_if<link::LogBatch>(&message)) {
    const Group* group = fleet_.groups.find(logs->group_id);
    if (group != nullptr && may_speak_of(fleet_, node.id, logs->group_id)) {
      logs_.append(node.id, group->organization_id, std::move(*logs));
    }
  } else if (const auto* request = std::get_if<link::TokenRequest>(&message)) {
    answer_token(session, node.id, *request);
  } else if (std::holds_alternative<link::Heartbeat>(message)) {
    CO_TRY_DO(session.send(link::heartbeat_at(clock_)));
  } else {
    co_return Error::invalid("an agent does not say that");
  }
  co_return Result<>();
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

void NodeHub::expel(const std::string& node_id, const Error& why) {
  const auto found = live_.find(node_id);
  if (found == live_.end()) return;
  const link::Message goodbye =
      link::Goodbye{.code = std::string(to_string(why.code)), .reason = why.message};
  std::ignore = found->second.session->send(goodbye);
  scope_.spawn(close_soon({.id = node_id, .number = found->second.number}));
}

// The Goodbye gets a moment to leave; whoever understands it closes sooner.
Task<Result<>> NodeHub::close_soon(Joined node) {
  CO_TRY_DO(co_await clock_.sleep_for(kGoodbyeTime));
  const auto found = live_.find(node.id);
  const bool same = found != live_.end() && found->second.number == node.number;
  if (same) found->second.session->close();
  co_return Result<>();
}

void NodeHub::set_gateways(std::vector<std::string> endpoints) {
  if (endpoints == gateways_) return;
  gateways_ = std::move(endpoints);
  for (const auto& [node_id, live] : live_) {
    const link::Message message = make_welcome(node_id);
    std::ignore = live.session->send(message);
  }
}

void NodeHub::gpu_classes_changed() {
  for (const auto& [node_id, live] : live_) {
    const Node* node = fleet_.nodes.find(node_id);
    if (node == nullptr) continue;
    const auto of_no_class = [](const link::GpuFacts& gpu) { return gpu.class_id.empty(); };
    if (std::ranges::any_of(node->facts.gpus, of_no_class)) live.session->close();
  }
}

void NodeHub::send_desired(const std::string& node_id, int64_t session,
                           const link::Desired& desired) {
  const auto found = live_.find(node_id);
  if (found == live_.end() || found->second.number != session) return;
  const link::Message message = desired;
  std::ignore = found->second.session->send(message);
}

void NodeHub::acknowledge(const std::string& node_id, int64_t session, int64_t sequence) {
  const auto found = live_.find(node_id);
  if (sequence == 0 || found == live_.end() || found->second.number != session) return;
  const link::Message message = link::Acknowledge{.sequence = sequence};
  std::ignore = found->second.session->send(message);
}

}  // namespace mesclun::cloud
