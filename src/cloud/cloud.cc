#include "cloud/cloud.h"

#include "link/upgrade.h"

namespace mesclun::cloud {

namespace {

constexpr std::string_view kPublic = "/api/public/";
constexpr std::string_view kMesclun = "/api/mesclun/";
constexpr std::string_view kOperator = "/api/operator/";
constexpr std::string_view kKeySet = "/.well-known/workload-jwks.json";

HttpResponse refuse(const Error& error) {
  return problem_answer(error);
}

std::string after(std::string_view path, std::string_view prefix) {
  return std::string(path.substr(prefix.size()));
}

}  // namespace

Cloud::Cloud(const asio::any_io_executor& executor, Clock& clock, Random& random,
             store::Database& database, store::Database& log_database, CloudSettings settings)
    : executor_(executor),
      clock_(clock),
      accounts_(clock, random, database),
      gpu_classes_(random, database),
      fleet_(settings.fleet, random),
      fleet_loop_(executor, clock, database, fleet_, *this),
      logs_(executor, clock, log_database, settings.logs),
      event_log_(executor, clock, fleet_, database, logs_),
      log_sinks_(executor, clock, random, fleet_, settings.log_sinks),
      tokens_(clock, random, database, settings.token_issuer),
      pull_grants_(executor, clock, database, fleet_,
                   {.private_addresses = settings.private_addresses, .ecr = settings.ecr_api}),
      node_hub_(executor, clock, settings.nodes, fleet_, fleet_loop_, gpu_classes_, tokens_,
                pull_grants_, logs_, usage_),
      route_hub_(executor, clock, settings.gateways, fleet_, fleet_loop_, accounts_, database,
                 usage_,
                 [this](std::vector<std::string> endpoints) {
                   node_hub_.set_gateways(std::move(endpoints));
                 }),
      public_api_(executor, clock, random, database, accounts_, fleet_loop_, node_hub_,
                  gpu_classes_, logs_, usage_, settings.api),
      gpu_class_endpoint_(gpu_classes_, fleet_loop_, [this] { node_hub_.gpu_classes_changed(); }),
      machine_endpoint_({.random = random,
                         .loop = fleet_loop_,
                         .nodes = node_hub_,
                         .gateways = route_hub_,
                         .usage = usage_,
                         .clock = clock,
                         .keep_secret = settings.keep_secret}),
      operator_api_(accounts_, machine_endpoint_, gpu_class_endpoint_),
      api_server_(
          executor, clock, "api", settings.http,
          [this](HttpRequest request) { return handle_api(std::move(request)); }, refuse),
      node_server_(
          executor, clock, "nodes", settings.http,
          [this](HttpRequest request) { return handle_node(std::move(request)); }, refuse),
      loops_(executor, "cloud") {
  LogTable::Listener listener;
  listener.acknowledge = [this](const std::string& machine_id, int64_t sequence) {
    node_hub_.acknowledge_logs(machine_id, sequence);
  };
  listener.written = [this](const LogTable::Batches& batches) { log_sinks_.take(batches); };
  logs_.listen(std::move(listener));
  accounts_.on_key_change([this](const std::string& key) { route_hub_.publish_key(key); });
}

Task<Result<>> Cloud::start() {
  CO_TRY_DO(co_await accounts_.load());
  CO_TRY_DO(co_await gpu_classes_.load());
  CO_TRY_DO(co_await tokens_.load());
  CO_TRY_DO(co_await fleet_loop_.load());
  CO_TRY_DO(co_await route_hub_.load());
  CO_TRY_DO(co_await logs_.load());
  loops_.spawn(fleet_loop_.run());
  loops_.spawn(fleet_loop_.listen());
  loops_.spawn(logs_.run());
  loops_.spawn(event_log_.run());
  loops_.spawn(tokens_.run());
  co_return Result<>();
}

Task<void> Cloud::stop() {
  co_await api_server_.stop();
  co_await public_api_.stop();
  co_await node_server_.stop();
  co_await node_hub_.stop();
  co_await pull_grants_.stop();
  co_await route_hub_.stop();
  co_await loops_.stop();
  co_await log_sinks_.stop();
}

Task<HttpResponse> Cloud::handle_api(HttpRequest request) {
  const std::string path(request.path());
  if (path.starts_with(kPublic)) {
    co_return co_await public_api_.handle_public(std::move(request), after(path, kPublic));
  }
  if (path.starts_with(kMesclun)) {
    co_return co_await public_api_.handle_mesclun(std::move(request), after(path, kMesclun));
  }
  if (path.starts_with(kOperator)) {
    co_return co_await operator_api_.handle(std::move(request), after(path, kOperator));
  }
  if (path == kKeySet) {
    const auto keys = tokens_.public_keys();
    co_return keys ? json_answer(200, *keys) : problem_answer(keys.error());
  }
  if (path == "/health") co_return json_answer(200, json::object{{"status", "ok"}});
  co_return problem_answer(Error::not_found("the API is under /api/public"));
}

Task<HttpResponse> Cloud::handle_node(HttpRequest request) {
  const std::string_view path = request.path();
  Result<HttpResponse> answer = Error::not_found("this port is for agents and gateways");
  std::function<void(ConnPtr)> take;
  if (path == link::kSessionUpgrade.path) {
    answer = link::accept_upgrade(request, link::kSessionUpgrade);
    take = [this](ConnPtr conn) { node_hub_.serve(stranger(std::move(conn))); };
  } else if (path == link::kRoutesUpgrade.path) {
    answer = link::accept_upgrade(request, link::kRoutesUpgrade);
    take = [this](ConnPtr conn) { route_hub_.serve(stranger(std::move(conn))); };
  } else if (path == link::kTunnelUpgrade.path && tunnel_handler_ != nullptr) {
    answer = link::accept_upgrade(request, link::kTunnelUpgrade);
    take = [this, ticket = link::shown_ticket(request)](ConnPtr conn) {
      tunnel_handler_(std::move(conn), ticket);
    };
  }
  if (!answer) co_return problem_answer(answer.error());
  answer->upgrade = std::move(take);
  co_return *std::move(answer);
}

// Who it is its first message tells.
link::SessionPtr Cloud::stranger(ConnPtr conn) {
  link::SessionLimits limits;
  limits.first_frame_bytes_max = link::kFirstFrameBytesMax;
  return link::make_conn_session(std::move(conn), executor_, clock_, limits);
}

void Cloud::send_desired(const std::string& node_id, int64_t session,
                         const link::Desired& desired) {
  node_hub_.send_desired(node_id, session, desired);
}
void Cloud::acknowledge(const std::string& node_id, int64_t session, int64_t sequence) {
  node_hub_.acknowledge(node_id, session, sequence);
}
void Cloud::publish(const std::set<std::string>& hosts) {
  route_hub_.publish(hosts);
}
void Cloud::events_added(const std::set<std::string>& group_ids) {
  public_api_.events_added(group_ids);
  event_log_.events_added();
}

}  // namespace mesclun::cloud
