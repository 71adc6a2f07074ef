#include "cloud/route_hub.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/socket_conn.h"
#include "link/conversation.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kNameBytesMax = 256;
constexpr size_t kUsageBytesMax = 16 * 1024 * 1024;
constexpr Duration kGoodbyeTime = 200ms;

}  // namespace

RouteHub::RouteHub(const asio::any_io_executor& executor, Clock& clock, RouteHubSettings settings,
                   Fleet& fleet, FleetLoop& loop, Accounts& accounts, store::Database& database,
                   UsageTable& usage,
                   std::function<void(std::vector<std::string>)> gateways_changed)
    : clock_(clock),
      settings_(std::move(settings)),
      fleet_(fleet),
      loop_(loop),
      accounts_(accounts),
      database_(database),
      usage_(usage),
      gateways_changed_(std::move(gateways_changed)),
      strangers_(settings_.strangers),
      scope_(executor, "gateway sessions") {}

Task<Result<>> RouteHub::load() {
  auto loaded = std::make_shared<std::map<std::string, std::string>>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(const auto rows, tx.query("SELECT name, endpoint FROM gateway"));
    for (const store::Row& row : rows) (*loaded)[row.text(0)] = row.text(1);
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  endpoints_ = std::move(*loaded);
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

// A row each: two that come at once do not know of each other.
Task<Result<>> RouteHub::remember(std::string name, std::string endpoint) {
  if (const auto known = endpoints_.find(name);
      known != endpoints_.end() && known->second == endpoint) {
    co_return Result<>();
  }
  store::Body body = [name, endpoint](store::Transaction& tx) -> Result<> {
    TRY_DO(
        tx.execute("INSERT INTO gateway (name, endpoint) VALUES ($1, $2) "
                   "ON CONFLICT (name) DO UPDATE SET endpoint = excluded.endpoint",
                   {name, endpoint}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  endpoints_[name] = endpoint;
  tell_gateways();
  co_return Result<>();
}

std::vector<RouteHub::GatewayView> RouteHub::list() const {
  std::set<std::string> connected;
  for (const auto& [number, live] : live_) connected.insert(live.name);
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
  store::Body body = [name](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("DELETE FROM gateway WHERE name = $1", {name}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  endpoints_.erase(name);
  tell_gateways();
  log_info("gateways", "forgotten", {{"name", name}});
  const Error why{
      ErrorCode::PermissionDenied,
      "the operator of this cloud forgot this gateway; it comes back if it dials again"};
  for (const auto& [number, live] : live_) {
    if (live.name == name) dismiss(number, why);
  }
  co_return Result<>();
}

void RouteHub::set_gateway_token(std::string token) {
  settings_.gateway_token = std::move(token);
  // Whoever reads the new one from a file dials at once; who has the old one only is then refused.
  const Error why = Error::unavailable("the gateway token was rotated");
  for (const auto& [number, live] : live_) dismiss(number, why);
}

void RouteHub::dismiss(int64_t number, const Error& why) {
  const link::Message goodbye =
      link::Goodbye{.code = std::string(to_string(why.code)), .reason = why.message};
  std::ignore = live_.at(number).session.send(goodbye);
  scope_.spawn(close_soon(number));
}

// The Goodbye gets a moment to leave; whoever understands it closes sooner.
Task<Result<>> RouteHub::close_soon(int64_t number) {
  CO_TRY_DO(co_await clock_.sleep_for(kGoodbyeTime));
  if (const auto live = live_.find(number); live != live_.end()) live->second.session.close();
  co_return Result<>();
}

void RouteHub::serve(link::SessionPtr session) {
  std::optional<PeerLimit::Place> place = strangers_.enter(session->peer_address());
  if (!place || scope_.running() >= settings_.sessions_max) {
    session->close();
    return;
  }
  scope_.spawn(run_session(std::move(session), *std::move(place)));
}

Task<Result<>> RouteHub::run_session(link::SessionPtr session, PeerLimit::Place place) {
  const Result<> ended = co_await link::answer(*session, clock_, talk(*session, std::move(place)));
  if (!ended && ended.code() != ErrorCode::Cancelled) {
    log_info("gateways", "session ended", {{"reason", ended.error().message}});
  }
  co_return Result<>();
}

Task<Result<std::string>> RouteHub::let_in(link::Session& session, PeerLimit::Place place) {
  const PeerLimit::Place until_it_is_known = std::move(place);
  CO_TRY(const link::GatewayHello hello,
         co_await link::hear_first<link::GatewayHello>(
             session, Error::invalid("a gateway's session begins with gateway_hello")));
  CO_TRY_DO(check(hello));
  CO_TRY_DO(co_await remember(hello.name, hello.tunnel_endpoint));
  session.let_in();
  log_info("gateways", "session began", {{"name", hello.name}, {"peer", session.peer_address()}});
  co_return hello.name;
}

Task<Result<>> RouteHub::talk(link::Session& session, PeerLimit::Place place) {
  CO_TRY(const std::string name, co_await let_in(session, std::move(place)));
  RouteSender::Parts parts{.executor = scope_.executor(),
                           .fleet = fleet_,
                           .loop = loop_,
                           .accounts = accounts_,
                           .session = session,
                           .tunnel_secret = settings_.tunnel_secret};
  RouteSender sender(std::move(parts));
  sender.mark_all();
  const int64_t number = ++last_number_;
  live_.try_emplace(number, Live{.name = name, .session = session, .sender = sender});
  Result<> ended = co_await link::beside(listen(session, name), sender.run());
  live_.erase(number);
  co_return ended;
}

Task<Result<>> RouteHub::listen(link::Session& session, std::string name) {
  link::GatherUsage usage{kUsageBytesMax};
  while (true) {
    CO_TRY(link::Message said,
           co_await link::hear(session, link::silence_of_dialler(settings_.heartbeat)));
    if (auto* part = std::get_if<link::Usage>(&said)) {
      CO_TRY(const auto whole, usage.take(std::move(*part)));
      if (whole) usage_.take_gateway(name, *whole, clock_.now());
      continue;
    }
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
  if (hello.name.size() > kNameBytesMax || hello.tunnel_endpoint.size() > kNameBytesMax) {
    return Error::invalid("the gateway's name or tunnel endpoint is too long");
  }
  if (!parse_endpoint(hello.tunnel_endpoint)) {
    return Error::invalid("the tunnel endpoint is not HOST:PORT");
  }
  if (!endpoints_.contains(hello.name) && endpoints_.size() >= settings_.gateways_max) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("this cloud knows {} gateways, as many as it may (--gateways-max)",
                             endpoints_.size())};
  }
  return {};
}

void RouteHub::publish(const std::set<std::string>& hosts) {
  for (const auto& [number, live] : live_) {
    for (const std::string& host : hosts) live.sender.mark_host(host);
  }
}

void RouteHub::publish_key(const std::string& key_sha256) {
  for (const auto& [number, live] : live_) live.sender.mark_key(key_sha256);
}

}  // namespace mesclun::cloud
