#include "gateway/test_world.h"

#include <fmt/format.h>

namespace mesclun::gateway {

TestWorld::TestWorld(GatewaySettings settings)
    : gateway(loop.executor(), loop.clock, random, std::move(settings), cloud),
      scope(loop.executor(), "test world") {}

TestWorld::~TestWorld() {
  bool stopped = false;
  Scope last(loop.executor(), "stop");
  const auto stop = [](TestWorld& world, bool& done) -> Task<Result<>> {
    for (const auto& tunnel : world.all_tunnels_) tunnel->close();
    co_await world.gateway.stop();
    co_await world.scope.stop();
    done = true;
    co_return Result<>();
  };
  last.spawn(stop(*this, stopped));
  EXPECT_TRUE(loop.clock.run_while_not([&] { return stopped; }, 1h)) << "the gateway does not stop";
  loop.clock.run_ready();
}

Task<Result<>> TestWorld::quietly(Task<Result<>> task) {
  std::ignore = co_await std::move(task);
  co_return Result<>();
}

void TestWorld::add_node(const std::string& machine_id) {
  auto [node, ours] = memory_conn_pair(loop.executor(), loop.clock);
  std::shared_ptr<link::Tunnel> tunnel = link::Tunnel::accepting(
      loop.executor(), std::move(node), loop.clock,
      [this](link::TunnelTarget target) { return connect_app(std::move(target)); });
  nodes_[machine_id] = tunnel;
  all_tunnels_.push_back(tunnel);
  spawn(tunnel->run());
  gateway.hub().add(machine_id, std::move(ours));
}

Task<Result<ConnPtr>> TestWorld::connect_app(link::TunnelTarget target) {
  ++connects;
  if (connect_delay > Duration::zero()) CO_TRY_DO(co_await loop.clock.sleep_for(connect_delay));
  const auto app = apps_.find(target.instance_id);
  if (app == apps_.end()) co_return Error{ErrorCode::Unavailable, "refused", Cause::Refused};
  auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock);
  spawn(app->second(std::move(theirs)));
  co_return std::move(ours);
}

void TestWorld::set_routes(std::vector<link::Route> routes, std::vector<link::RouteKey> keys) {
  link::RouteUpdate update;
  update.complete = true;
  update.routes = std::move(routes);
  update.keys = std::move(keys);
  gateway.table().apply(std::move(update));
}

ConnPtr TestWorld::connect() {
  auto [client, server] = memory_conn_pair(loop.executor(), loop.clock);
  gateway.proxy().serve(std::move(server));
  return std::move(client);
}

link::Route make_route(int instances) {
  link::Route route;
  route.dns = "g.example";
  route.group_id = "group";
  route.organization_id = "organization";
  route.port = 80;
  for (int i = 1; i <= instances; ++i) {
    route.instances.push_back({fmt::format("i{}", i), fmt::format("m{}", i), true});
  }
  return route;
}

namespace {

HttpResponse no_problem(const Error&) {
  return {};
}

Task<HttpResponse> echo(HttpRequest request) {
  HttpResponse response;
  response.body = fmt::format("{} {}\n", request.head.method, request.head.target);
  for (size_t i = 0; i < request.head.headers.size(); ++i) {
    const auto [name, value] = request.head.headers[i];
    response.body += fmt::format("{}: {}\n", name, value);
  }
  response.body += "\n" + request.body;
  co_return response;
}

Task<Result<>> answer_raw(ConnPtr conn, std::string answer, bool then_reset, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write(answer));
  // What was written is on its way before the reset.
  CO_TRY_DO(co_await clock.sleep_for(1ms));
  if (then_reset) conn->abort();
  co_return Result<>();
}

}  // namespace

EchoWorld::EchoWorld(link::Route route, GatewaySettings settings) : TestWorld(std::move(settings)) {
  for (size_t i = 1; i <= route.instances.size(); ++i) {
    add_node(fmt::format("m{}", i));
    set_app(fmt::format("i{}", i), echo_app(clock));
  }
  set_routes({std::move(route)});
}

App http_app(Clock& clock, std::function<Task<HttpResponse>(HttpRequest)> handler) {
  return [&clock, handler = std::move(handler)](ConnPtr conn) {
    HttpLimits limits;
    limits.body_bytes_max = 16 * 1024 * 1024;
    return serve_http(std::move(conn), clock, limits, handler, no_problem);
  };
}

App echo_app(Clock& clock) {
  return http_app(clock, echo);
}

App raw_app(Clock& clock, std::string answer, bool then_reset) {
  return [&clock, answer = std::move(answer), then_reset](ConnPtr conn) {
    return answer_raw(std::move(conn), answer, then_reset, clock);
  };
}

Task<Result<HttpReply>> call(TestWorld& world, HttpCall call) {
  const ConnPtr conn = world.connect();
  bool keep_alive = false;
  std::string host(call.headers.find("Host").value_or("g.example"));
  co_return co_await http_call(*conn, std::move(call), std::move(host), 64 * 1024 * 1024,
                               keep_alive);
}

Task<Result<std::string>> get_status(TestWorld& world, std::string host, std::string target) {
  HttpCall request;
  request.target = std::move(target);
  request.headers.add("Host", host);
  CO_TRY(const HttpReply reply, co_await call(world, std::move(request)));
  co_return fmt::format("{} {}", reply.status,
                        reply.headers.find(kGatewayErrorHeader).value_or(""));
}

Task<Result<std::string>> read_until(Conn& conn, std::string end) {
  std::string all;
  char byte;
  while (!all.ends_with(end)) {
    CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(&byte, 1)));
    if (n == 0) co_return Error::unavailable("ended after '" + all + "'");
    all += byte;
  }
  co_return all;
}

}  // namespace mesclun::gateway
