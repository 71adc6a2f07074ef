#include "gateway/gateway.h"

#include "api/problem.h"
#include "base/log.h"
#include "link/ticket.h"

namespace mesclun::gateway {

namespace {

HttpResponse problem(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.headers.set("Content-Type", api::kProblemMediaType);
  response.body = api::problem_json(error);
  return response;
}

HttpLimits admin_limits() {
  HttpLimits limits;
  limits.connections_max = 16;
  limits.health_path = "/healthz";
  limits.body_bytes_max = 0;
  return limits;
}

}  // namespace

Gateway::Gateway(const asio::any_io_executor& executor, Clock& clock, Random& random,
                 GatewaySettings settings, link::Dialer& cloud)
    : drain_(settings.drain),
      hub_(
          executor, clock, settings.tunnel,
          [this, &clock](std::string_view ticket) -> Result<std::string> {
            if (!table_.loaded()) {
              return Error::unavailable("this gateway has not heard from the cloud yet");
            }
            return link::check_tunnel_ticket(table_.tunnel_secret(), ticket,
                                             to_unix_seconds(clock.wall_now()));
          },
          [this] { table_.for_each([](Group& group) { group.serve_waiting(); }); }),
      table_(
          clock, [this](const std::string& machine_id) { return hub_.node(machine_id); },
          settings.proxy.retry),
      proxy_(executor, clock, random, settings.proxy, table_),
      door_(executor, clock, settings.tls,
            [this](TlsAccepted client) {
              if (client.protocol == "h2") {
                proxy_.serve_http2(std::move(client.conn), "");
              } else {
                proxy_.serve(std::move(client.conn));
              }
            }),
      session_(clock, random, std::move(settings.session), cloud, table_),
      scope_(executor, "gateway"),
      admin_(
          executor, clock, "gateway admin", admin_limits(),
          [this](HttpRequest request) { return answer_admin(std::move(request)); }, problem) {}

void Gateway::start() {
  scope_.spawn(session_.run());
}

Task<void> Gateway::stop() {
  co_await door_.stop();
  co_await proxy_.stop(drain_);
  co_await admin_.stop();
  co_await scope_.stop();
  co_await hub_.stop();
}

Task<HttpResponse> Gateway::answer_admin(HttpRequest request) {
  HttpResponse response;
  if (request.path() == "/metrics") {
    response.headers.set("Content-Type", "text/plain; version=0.0.4");
    response.body = metrics_text(table_, proxy_, hub_);
  } else if (request.path() == "/state") {
    response.headers.set("Content-Type", "application/json");
    response.body = state_json(table_, proxy_, hub_);
  } else if (request.path() == "/healthz") {
    response.status = table_.loaded() ? 200 : 503;
    response.body = table_.loaded() ? "ok\n" : "no routes yet\n";
  } else {
    response = problem(Error::not_found("the paths are /metrics, /state and /healthz"));
  }
  co_return response;
}

}  // namespace mesclun::gateway
