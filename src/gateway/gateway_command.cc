#include "gateway/gateway_command.h"

#include <algorithm>

#include "base/command_line.h"
#include "base/file.h"
#include "base/file_limit.h"
#include "base/real_clock.h"
#include "base/real_random.h"
#include "base/service.h"
#include "gateway/gateway.h"
#include "gateway/tls_settings.h"

namespace mesclun::gateway {

namespace {

// Tunnels of a large fleet, the session, the admin port, the log.
constexpr size_t kOtherFiles = 4096;

struct CommandSettings {
  Endpoint listen{.host = "127.0.0.1", .port = 8801};
  Endpoint tunnels{.host = "127.0.0.1", .port = 8804};
  Endpoint cloud{.host = "127.0.0.1", .port = 8802};
  Endpoint admin;  // no host: off
  TlsSettings tls;
  std::string tunnel_address;
  std::string token;
  std::string token_file;
  std::string access_log;
  GatewaySettings gateway;
  LogSettings log;
};

void add_proxy_settings(CommandLine& line, ProxyLimits& limits) {
  add_setting(line, "--connections-max", limits.connections_max, size_t{1}, size_t{1'000'000},
              "Client connections at once");
  add_bytes_setting(line, "--head-bytes-max", limits.head_bytes_max, 1024, 60 * 1024,
                    "Largest head of a request");
  add_bytes_setting(line, "--body-bytes-max", limits.body_bytes_max, 1024, uint64_t{1} << 40,
                    "Largest body of a request");
  line.flag(
          "--path-names,!--no-path-names", limits.path_names,
          "Reach groups also by path, /@NAME/..., for clients that cannot set or resolve the host "
          "name")
      .environment(line.variable_of("--path-names"));
  add_setting(
      line, "--health-path", limits.health_path,
      "Path that the gateway answers itself, of whatever host: 200 while it has routes, 503 "
      "before and at its end; default: none")
      .value_name("PATH")
      .check([](const std::string& path) -> std::string {
        const auto fits = [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; };
        const bool good =
            path.empty() || (path.starts_with('/') && std::ranges::all_of(path, fits));
        return good ? "" : "must be a path such as /healthz, or empty";
      });
  add_setting(line, "--idle-timeout", limits.idle_timeout, 1s, 1h,
              "Between two requests of a connection");
  add_setting(line, "--head-timeout", limits.head_timeout, 100ms, 10min,
              "From the first byte of a request to the end of its head");
  add_setting(line, "--body-idle-timeout", limits.body_idle_timeout, 100ms, 1h,
              "Between two pieces of a request's body");
  add_setting(line, "--body-rate-min", limits.body_bytes_per_second_min, size_t{1},
              size_t{1024} * 1024, "Bytes a second that a client sends on average");
  add_setting(line, "--connect-timeout", limits.connect_timeout, 10ms, 100s,
              "For an instance to take a connection");
  add_setting(line, "--connect-tries", limits.retry.tries_max, size_t{1}, size_t{10},
              "Instances that are tried before a request fails");
  add_setting(line, "--kept-max", limits.kept_bytes_max, size_t{0}, size_t{1} << 20,
              "Bytes of a request that are kept for another try");
  add_setting(line, "--retry-share", limits.retry.share, 0.0, 1.0,
              "Of requests that may be sent again to another instance; 0: none");
  add_setting(line, "--stream-idle-timeout", limits.stream_idle_timeout, 1s, 1h,
              "Silence in a streaming answer or a WebSocket");
  add_setting(line, "--half-close-timeout", limits.half_close_timeout, 0s, 1h,
              "For the answer to begin, after a client has ended its own side of the connection");
  add_setting(line, "--pool-idle-max", limits.pool.idle_max, size_t{0}, size_t{10'000},
              "Idle connections kept per instance");
  add_setting(line, "--pool-idle-for", limits.pool.idle_for, 0ms, 10min, "How long they are kept");
  line.flag("--http2,!--no-http2", limits.http2,
            "HTTP/2 for clients that want it, over TLS or by prior knowledge (on by default)")
      .environment(line.variable_of("--http2"));
  line.flag("--trust-forwarded", limits.trust_forwarded,
            "A proxy of yours is in front: believe its Forwarded, X-Forwarded-*, X-Real-IP and "
            "Salad-* headers, which are dropped otherwise")
      .environment(line.variable_of("--trust-forwarded"));
}

void add_tunnel_settings(CommandLine& line, link::TunnelLimits& limits) {
  add_setting(line, "--streams-max", limits.streams_max, size_t{1}, size_t{65'536},
              "Streams at once in one tunnel");
  add_bytes_setting(line, "--tunnel-buffer-max", limits.buffered_bytes_max, 1024 * 1024,
                    size_t{16} * 1024 * 1024 * 1024,
                    "Unread bytes of one tunnel beyond which streams get small windows only");
  add_setting(line, "--suspect-after", limits.suspect_after, 300ms, 1min,
              "Silence after which a node takes no new requests while others can");
  add_setting(line, "--tunnel-dead-after", limits.dead_after, 1s, 10min,
              "Silence after which a tunnel is given up");
}

Result<std::string> read_token(const CommandSettings& settings) {
  if (settings.token_file.empty()) return settings.token;
  return read_first_line(settings.token_file);
}

std::vector<std::string> alpn(bool http2) {
  if (!http2) return {"http/1.1"};
  return {"h2", "http/1.1"};
}

// `certificates`: those in use, once there are any.
Task<Result<>> serve(asio::io_context& io, CommandSettings settings,
                     std::shared_ptr<CertificateFiles>& certificates) {
  RealClock clock;
  RealRandom random;
  const asio::any_io_executor executor = io.get_executor();
  CO_TRY(settings.gateway.session.gateway_token, read_token(settings));
  settings.gateway.session.gateway_token_file = settings.token_file;
  CO_TRY(Listener clients, Listener::bind(executor, settings.listen));
  CO_TRY(Listener tunnels, Listener::bind(executor, settings.tunnels));
  std::optional<Listener> admin;
  if (!settings.admin.host.empty()) {
    CO_TRY(Listener bound, Listener::bind(executor, settings.admin));
    admin.emplace(std::move(bound));
  }
  std::optional<AccessLog> access_log;
  if (!settings.access_log.empty()) {
    CO_TRY(AccessLog opened, AccessLog::open(settings.access_log));
    access_log.emplace(std::move(opened));
  }
  std::optional<Listener> tls;
  if (settings.tls.on()) {
    CO_TRY(std::vector<CertificateFile> files, certificate_files(settings.tls));
    CO_TRY(certificates,
           CertificateFiles::load(std::move(files), alpn(settings.gateway.proxy.http2)));
    CO_TRY(Listener bound, Listener::bind(executor, settings.tls.listen));
    settings.gateway.proxy.https_port = settings.tls.port_for_redirects(bound.endpoint().port);
    tls.emplace(std::move(bound));
  }
  settings.gateway.session.tunnel_endpoint =
      settings.tunnel_address.empty() ? tunnels.endpoint().to_string() : settings.tunnel_address;
  fmt::print("ready gateway={} tunnels={}{}{}\n", clients.endpoint().to_string(),
             settings.gateway.session.tunnel_endpoint,
             tls ? " tls=" + tls->endpoint().to_string() : "",
             admin ? " admin=" + admin->endpoint().to_string() : "");
  std::fflush(stdout);

  ProxyLimits& limits = settings.gateway.proxy;
  limits.connections_max = fit_connections("clients (--connections-max)", limits.connections_max,
                                           kOtherFiles + settings.tls.door.handshakes_max);
  settings.gateway.tls = settings.tls.door;
  link::CloudDialer cloud(clock, settings.cloud, link::kRoutesUpgrade);
  Gateway gateway(executor, clock, random, std::move(settings.gateway), cloud);
  if (access_log) gateway.proxy().log_to(std::move(*access_log));
  gateway.serve_clients(std::move(clients));
  if (tls) gateway.serve_tls_clients(std::move(*tls), certificates);
  gateway.serve_tunnels(std::move(tunnels));
  if (admin) gateway.serve_admin(std::move(*admin));
  gateway.start();
  co_await until_ending();
  co_await gateway.stop();
  co_return Result<>();
}

}  // namespace

int run_gateway_command(int argc, char** argv) {
  CommandSettings settings;
  settings.gateway.session.name = "gateway";
  CommandLine line(
      "Runs a gateway: takes requests for container groups and brings them to instances.", argv[0],
      "gateway");
  add_setting(line, "--listen", settings.listen, "Where clients connect (plain HTTP)");
  add_tls_settings(line, settings.tls);
  add_setting(line, "--tunnels", settings.tunnels, "Where nodes dial their tunnels");
  add_setting(line, "--tunnel-address", settings.tunnel_address,
              "HOST:PORT that nodes are told to dial; default: --tunnels");
  add_setting(line, "--cloud", settings.cloud, "The cloud's node port");
  add_setting(line, "--admin", settings.admin,
              "Serves /metrics, /state and /healthz; default: off");
  add_setting(line, "--access-log", settings.access_log,
              "File or pipe for a line of JSON a request; made anew when it was moved away");
  add_setting(line, "--name", settings.gateway.session.name, "Name of this gateway, for people");
  add_setting(line, "--gateway-token", settings.token, "Lets this gateway in at the cloud");
  add_setting(line, "--gateway-token-file", settings.token_file,
              "File with the token in its first line, read again whenever the cloud is dialled");
  add_setting(line, "--drain", settings.gateway.drain, 0s, 1h,
              "How long requests in flight may take at the end");
  add_setting(line, "--heartbeat", settings.gateway.session.heartbeat, 100ms, 1min,
              "How often the cloud hears from this gateway");
  add_setting(line, "--usage-period", settings.gateway.session.usage_period, 500ms, 30s,
              "How often the cloud is told how instances are asked");
  add_setting(line, "--cloud-silence-max", settings.gateway.session.silence_max, 1s, 10min,
              "Silence of the cloud after which it is dialled again");
  add_proxy_settings(line, settings.gateway.proxy);
  add_tunnel_settings(line, settings.gateway.tunnel);
  add_log_settings(line, settings.log);
  if (const auto status = line.parse(argc, argv)) return *status;
  if (const auto files = certificate_files(settings.tls); !files) {
    return fail_usage("mesclun gateway", files.error().message);
  }
  setup_logging(settings.log);
  std::shared_ptr<CertificateFiles> certificates;
  return run_service(
      [&](asio::io_context& io) { return serve(io, std::move(settings), certificates); },
      [&certificates] {
        if (certificates) certificates->reload();
        return certificates != nullptr;
      });
}

}  // namespace mesclun::gateway
