#include "cloud/route_hub.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/socket_conn.h"
#include "cloud/fleet_views.h"
#include "link/conversation.h"

namespace mesclun::cloud {

namespace {

// A route takes about 400 bytes and an instance 120: this keeps a frame far below its 4 MiB.
constexpr size_t kWeightOfUpdateMax = 8'000;
constexpr std::string_view kGatewaysSetting = "gateways";
constexpr Duration kGoodbyeTime = 200ms;

std::vector<link::RouteUpdate> in_parts(const std::vector<link::Route>& routes) {
  std::vector<link::RouteUpdate> parts;
  size_t weight = kWeightOfUpdateMax;
  for (const link::Route& route : routes) {
    const size_t more = 4 + route.instances.size();
    if (weight + more > kWeightOfUpdateMax) {
      parts.emplace_back();
      weight = 0;
    }
    parts.back().routes.push_back(route);
    weight += more;
  }
  return parts;
}

Result<std::map<std::string, std::string>> load_endpoints(store::Transaction& tx) {
  TRY(const auto rows,
      tx.query("SELECT value FROM setting WHERE name = $1", {std::string(kGatewaysSetting)}));
  if (rows.empty()) return std::map<std::string, std::string>();
  return from_json_text<std::map<std::string, std::string>>(rows[0].text(0));
}

}  // namespace

RouteHub::RouteHub(const asio::any_io_executor& executor, Clock& clock, RouteHubSettings settings,
                   Fleet& fleet, Accounts& accounts, store::Database& database,
                   std::function<void(std::vector<std::string>)> gateways_changed)
    : clock_(clock),
      settings_(std::move(settings)),
      fleet_(fleet),
      accounts_(accounts),
      database_(database),
      gateways_changed_(std::move(gateways_changed)),
      scope_(executor, "gateway sessions") {}

Task<Result<>> RouteHub::load() {
  const auto loaded = std::make_shared<Endpoints>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(*loaded, load_endpoints(tx));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  endpoints_ = *loaded;
  tell_gateways();
  co_return Result<>();
}

void RouteHub::tell_gateways() {
  std::vector<std::string> endpoints;
  for (const auto& [name, endpoint] : endpoints_) endpoints.push_back(endpoint);
  std::ranges::sort(endpoints);
  const auto twice = std::ranges::unique(endpoints);
  endpoints.erase(twice.begin(), twice.end());
  gateways_changed_(std::move(endpoints));
}

// All of them are one row: it is read and written in one transaction, so that of two gateways which
// come at once none is forgotten.
Task<Result<>> RouteHub::remember(std::string name, std::string endpoint) {
  if (const auto known = endpoints_.find(name);
      known != endpoints_.end() && known->second == endpoint) {
    co_return Result<>();
  }
  co_return co_await change_endpoints([=](Endpoints& all) { all[name] = endpoint; });
}

Task<Result<>> RouteHub::change_endpoints(std::function<void(Endpoints&)> change) {
  const auto changed = std::make_shared<Endpoints>();
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    TRY(*changed, load_endpoints(tx));
    change(*changed);
    TRY_DO(
        tx.execute("INSERT INTO setting (name, value) VALUES ($1, $2) "
                   "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                   {std::string(kGatewaysSetting), to_json_text(*changed)}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  endpoints_ = *changed;
  tell_gateways();
  co_return Result<>();
}

std::vector<RouteHub::GatewayView> RouteHub::list() const {
  std::set<std::string> connected;
  for (const auto& [session, name] : live_) connected.insert(name);
  std::vector<GatewayView> out;
  for (const auto& [name, endpoint] : endpoints_) {
    out.push_back({name, endpoint, connected.contains(name)});
  }
  return out;
}

Task<Result<>> RouteHub::forget(std::string name) {
  if (!endpoints_.contains(name)) {
    co_return Error::not_found(fmt::format("no gateway '{}'", name.substr(0, 100)));
  }
  CO_TRY_DO(co_await change_endpoints([=](Endpoints& all) { all.erase(name); }));
  log_info("gateways", "forgotten", {{"name", name}});
  const Error why{
      ErrorCode::PermissionDenied,
      "the operator of this cloud forgot this gateway; it comes back if it dials again"};
  for (const auto& [session, of] : live_) {
    if (of == name) dismiss(session, why);
  }
  co_return Result<>();
}

void RouteHub::set_gateway_token(std::string token) {
  settings_.gateway_token = std::move(token);
  // Whoever reads the new one from a file dials at once; who has the old one only is then refused.
  const Error why = Error::unavailable("the gateway token was rotated");
  for (const auto& [session, name] : live_) dismiss(session, why);
}

void RouteHub::dismiss(link::Session* session, const Error& why) {
  const link::Message goodbye =
      link::Goodbye{.code = std::string(to_string(why.code)), .reason = why.message};
  std::ignore = session->send(goodbye);
  scope_.spawn(close_soon(session));
}

// The Goodbye gets a moment to leave; whoever understands it closes sooner.
Task<Result<>> RouteHub::close_soon(link::Session* session) {
  CO_TRY_DO(co_await clock_.sleep_for(kGoodbyeTime));
  if (live_.contains(session)) session->close();
  co_return Result<>();
}

void RouteHub::serve(link::SessionPtr session) {
  if (scope_.running() >= settings_.sessions_max) {
    session->close();
    return;
  }
  scope_.spawn(run_session(std::move(session)));
}

Task<Result<>> RouteHub::run_session(link::SessionPtr session) {
  const Result<> ended = co_await link::answer(*session, clock_, talk(*session));
  live_.erase(session.get());
  if (ended.code() != ErrorCode::Cancelled) {
    log_info("gateways", "session ended", {{"reason", ended.error().message}});
  }
  co_return Result<>();
}

Task<Result<>> RouteHub::talk(link::Session& session) {
  CO_TRY(const link::GatewayHello hello,
         co_await link::hear_first<link::GatewayHello>(
             session, Error::invalid("a gateway's session begins with gateway_hello")));
  CO_TRY_DO(check(hello));
  CO_TRY_DO(co_await remember(hello.name, hello.tunnel_endpoint));
  log_info("gateways", "session began", {{"name", hello.name}, {"peer", session.peer_address()}});

  // All of it, then live: nothing can change in between, because this does not wait.
  CO_TRY_DO(send_all(session));
  live_[&session] = hello.name;
  while (true) {
    CO_TRY(const link::Message said,
           co_await link::hear(session, link::silence_of_dialler(settings_.heartbeat)));
    if (!std::holds_alternative<link::Heartbeat>(said)) {
      co_return Error::invalid("a gateway does not say that");
    }
    CO_TRY_DO(session.send(link::heartbeat_at(clock_)));
  }
}

Result<> RouteHub::check(const link::GatewayHello& hello) const {
  if (hello.protocol != link::kProtocolVersion) {
    return Error{ErrorCode::FailedPrecondition,
                 "gateway and cloud need the same version of mesclun"};
  }
  if (!equal_secret(hello.gateway_token, settings_.gateway_token)) {
    return Error{ErrorCode::Unauthenticated, "the gateway token is not this cloud's"};
  }
  if (!parse_endpoint(hello.tunnel_endpoint)) {
    return Error::invalid("the tunnel endpoint is not HOST:PORT");
  }
  return {};
}

// The complete one comes last, so that a gateway which knew everything before never forgets a route
// in between.
Result<> RouteHub::send_all(link::Session& session) const {
  std::vector<link::Route> routes;
  link::RouteUpdate last{.complete = true};
  for (const auto& [id, group] : fleet_.groups.all()) {
    if (group.dns.empty()) continue;
    routes.push_back(route_of(fleet_, group));
    last.hosts.push_back(group.dns);
  }
  last.keys = accounts_.route_keys();
  last.keys_changed = true;
  last.tunnel_secret = settings_.tunnel_secret;
  for (link::RouteUpdate& part : in_parts(routes)) {
    const link::Message message = std::move(part);
    TRY_DO(session.send(message));
  }
  const link::Message message = std::move(last);
  return session.send(message);
}

void RouteHub::publish(const std::vector<link::Route>& routes) {
  for (const link::RouteUpdate& part : in_parts(routes)) broadcast(part);
}

void RouteHub::publish_keys() {
  link::RouteUpdate update;
  update.keys = accounts_.route_keys();
  update.keys_changed = true;
  broadcast(update);
}

void RouteHub::broadcast(const link::RouteUpdate& update) {
  const link::Message message = update;
  for (const auto& [session, name] : live_) std::ignore = session->send(message);
}

}  // namespace mesclun::cloud
