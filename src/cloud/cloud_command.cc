#include "cloud/cloud_command.h"

#include "base/command_line.h"
#include "base/service.h"
#include "cloud/cloud_host.h"

namespace mesclun::cloud {

namespace {

void add_limit(CommandLine& line, const std::string& flag, UpdateLimit& value,
               const std::string& help) {
  auto read = [&value](const std::string& text) -> Result<> {
    TRY(value, parse_update_limit(text));
    return {};
  };
  line.option(flag, std::move(read), help)
      .value_name("NUMBER or SHARE%")
      .shown_default(value.text())
      .environment(line.variable_of(flag));
}

void add_update_settings(CommandLine& line, FleetSettings& fleet) {
  add_limit(line, "--update-at-once", fleet.update_at_once,
            "How many instances of a group go over to a new version at once, rounded up; each has "
            "to be ready before the next. 100% starts all anew together");
  add_setting(line, "--update-settle", fleet.update_settle, 0s, 10min,
              "Without a readiness probe an instance counts as ready after so long");
  add_setting(line, "--update-patience", fleet.update_patience, 1s,
              Duration(std::chrono::hours(24)),
              "An update without progress for so long is told to its owner");
  add_setting(line, "--versions-kept", fleet.versions_kept, 0, 100,
              "How many former versions of each group are kept, to return to");
}

}  // namespace

void add_cloud_settings(CommandLine& line, CloudHostSettings& settings) {
  add_setting(line, "--data", settings.data,
              "Folder of the databases and secrets; one process each");
  add_setting(line, "--api", settings.api, "Where the HTTP API listens (paths under /api/public)");
  add_setting(line, "--nodes-listen", settings.nodes,
              "Where agents and gateways dial in, for sessions and tunnels");
  add_setting(line, "--node-grace", settings.cloud.fleet.node_grace, 2s, 10min,
              "A node is replaced when it was silent for so long");
  add_setting(line, "--heartbeat", settings.cloud.nodes.heartbeat, 100ms, 60s,
              "How often a node speaks at least; keep it below a third of --node-grace");
  add_setting(line, "--exclusion", settings.cloud.fleet.exclusion, 1s,
              Duration(std::chrono::hours(24 * 30)),
              "A node that failed a group, or was left by it, is not offered to it for so long");
  add_setting(line, "--deleted-retention", settings.cloud.fleet.deleted_retention, 1s,
              Duration(std::chrono::hours(24 * 365)),
              "A deleted group's host name answers 410 for so long, and its name stays taken");
  add_setting(
      line, "--drain-limit", settings.cloud.fleet.drain_limit, 1s, Duration(std::chrono::hours(24)),
      "What serves on a drained node stays until its successor serves, for so long at most");
  add_update_settings(line, settings.cloud.fleet);
  add_setting(line, "--zone", settings.cloud.fleet.zone,
              "Groups are reached below this domain; 'localhost' gives them short names");
  add_setting(line, "--rate-limit", settings.cloud.api.requests_per_minute, 1, 1'000'000,
              "API requests a minute for one key; more are answered with 429");
  add_setting(line, "--probe-failures-max", settings.cloud.api.specs.probe_failures_max, 20, 10'000,
              "The largest failure_threshold of a probe; generated clients of the contract refuse "
              "answers above 20");
  add_setting(line, "--command-length-max", settings.cloud.api.specs.command_item_max, size_t{1000},
              size_t{131'071}, "The longest item of a command, in characters");
  add_setting(line, "--activity-rate-limit", settings.cloud.api.activity_requests_per_minute, 1,
              1'000'000,
              "Requests a minute of one key for logs, and as many for events, below /api/mesclun");
  add_bytes_setting(line, "--group-bytes-max", settings.cloud.api.specs.group_bytes_max, 64 * 1024,
                    3 << 20, "The largest group, as JSON; it travels to nodes in one frame");
  line.flag(
          "--private-addresses", settings.cloud.private_addresses,
          "For development: what groups name for the cloud to call, such as their registries, may "
          "be on this machine and in private networks, and without TLS")
      .environment(line.variable_of("--private-addresses"));
  auto read_ecr = [&ecr = settings.cloud.ecr_api](const std::string& text) -> Result<> {
    TRY(ecr, parse_http_url(text));
    return {};
  };
  line.option("--ecr-api", std::move(read_ecr),
              "For development: where the API of AWS's registries is, in place of their own")
      .value_name("URL")
      .environment(line.variable_of("--ecr-api"));
  add_setting(line, "--token-issuer", settings.cloud.token_issuer,
              "The `iss` claim of workload identity tokens");
  add_bytes_setting(line, "--body-max", settings.cloud.http.body_bytes_max, 1024, 64 << 20,
                    "The largest request body of the API; larger ones are answered with 413");
  add_setting(line, "--log-lines-max", settings.cloud.logs.lines_max, int64_t{1000},
              int64_t{1'000'000'000}, "Lines of container output that are kept, of all groups");
  add_setting(line, "--organization-log-lines-max", settings.cloud.logs.organization_lines_max,
              int64_t{1000}, int64_t{1'000'000'000}, "... of which of one organization");
  line.flag(
      "--log-sinks-private", settings.cloud.log_sinks.private_addresses,
      "Let log sinks of groups be on this machine and in private networks: whoever may create "
      "groups then reaches what this cloud reaches there");
  add_setting(line, "--execs-max", settings.cloud.api.execs.all, size_t{0}, size_t{100'000},
              "Commands beside instances (mesclun exec) at once; more are answered with 429");
  add_setting(line, "--organization-execs-max", settings.cloud.api.execs.of_organization, size_t{0},
              size_t{100'000}, "... of which of one organization");
  add_setting(line, "--instance-execs-max", settings.cloud.api.execs.of_instance, size_t{0},
              size_t{32}, "... and beside one instance");
  add_setting(line, "--sessions-max", settings.cloud.nodes.sessions_max, size_t{1},
              size_t{1'000'000}, "Sessions of nodes at once");
  add_setting(line, "--strangers-max", settings.cloud.nodes.strangers.all, size_t{1},
              size_t{100'000}, "Sessions at once that have not said which node they are");
  add_setting(line, "--strangers-of-address-max", settings.cloud.nodes.strangers.of_address,
              size_t{1}, size_t{100'000}, "The same, of one address or IPv6 network of 64 bits");
  add_setting(line, "--gateway-sessions-max", settings.cloud.gateways.sessions_max, size_t{1},
              size_t{10'000}, "Sessions of gateways at once");
  add_setting(line, "--gateways-max", settings.cloud.gateways.gateways_max, size_t{1},
              size_t{10'000}, "Gateways that are remembered, by their names");
}

namespace {

Task<Result<>> serve(asio::io_context& io, CloudHostSettings settings, CloudReady ready) {
  const std::string data = settings.data;
  CO_TRY(auto host, co_await CloudHost::start(io.get_executor(), std::move(settings)));
  fmt::print("ready api=http://{}/api/public nodes={}\n", host->api().to_string(),
             host->nodes().to_string());
  std::fflush(stdout);
  ready(*host, data);
  co_await until_ending();
  co_await host->stop();
  co_return Result<>();
}

}  // namespace

int run_cloud_command(int argc, char** argv, const CloudReady& ready) {
  CloudHostSettings settings;
  LogSettings log;
  CommandLine line(
      "The control plane: the HTTP API, placement, and the port that agents and gateways dial.\n"
      "Secrets for them are made in the data folder at the first start: join.token, gateway.token, "
      "operator.key.",
      "mesclun cloud", "cloud");
  add_cloud_settings(line, settings);
  add_log_settings(line, log);
  if (const auto status = line.parse(argc, argv)) return *status;
  setup_logging(log);
  keep_files_private();
  return run_service([&](asio::io_context& io) { return serve(io, settings, ready); });
}

}  // namespace mesclun::cloud
