#include "agent/agent_service.h"

#include "agent/control_endpoint.h"
#include "agent/file_state_store.h"
#include "agent/gateway_dialer.h"
#include "agent/gpu_discovery.h"
#include "base/log.h"
#include "base/real_clock.h"
#include "base/real_random.h"
#include "base/service.h"

namespace mesclun::agent {

namespace fs = std::filesystem;

namespace {

// Beyond the grace of the instances, for the driver to clear up.
constexpr Duration kStopSlack = 15s;
constexpr Duration kGpuPeriod = 10s;

Task<Result<>> check_cloud(Endpoint cloud, bool allow_remote) {
  if (allow_remote) co_return Result<>();
  const Result<bool> here = co_await is_this_machine(cloud);
  if (here && *here) co_return Result<>();
  co_return Error{
      ErrorCode::FailedPrecondition,
      fmt::format(
          "the cloud {} is not on this machine. The process runtime runs what the cloud "
          "says with the rights of this user and little isolation; pass --allow-remote-cloud "
          "if you trust everybody who can create groups there",
          cloud.to_string())};
}

// Which runtime it is says `node list`; why it is not the better one stands there as well.
void say_runtime(const runtime::OpenedDriver& opened, AgentOptions& options) {
  const std::string runtime = opened.driver->facts().runtime;
  log_info("agent", "instances run", {{"by", runtime}, {"why", opened.why}});
  const bool fell_back = !opened.why.empty() && runtime == "process";
  if (fell_back) options.facts.warnings.push_back(opened.why);
}

// From here on there is an agent to stop, whatever happens.
Task<Result<>> run_until_cancelled(asio::any_io_executor executor, Clock& clock, NodeAgent& agent,
                                   AgentOptions& options) {
  CO_TRY_DO(co_await agent.start());
  ControlEndpoint control(executor, clock, agent);
  Result<> result = control.open(executor, options.data);
  // For people and scripts: which node of the cloud this folder is. Written at every start.
  if (result) {
    result = replace_file((options.data / "machine_id").string(), agent.machine_id() + "\n",
                          Durability::ProcessCrash, 0644);
  }
  if (result) {
    log_info("agent", "the agent works",
             {{"machine_id", agent.machine_id()},
              {"cloud", options.cloud.to_string()},
              {"data", options.data.string()}});
    if (options.log_warnings) {
      for (const std::string& warning : agent.facts().warnings) log_warning("agent", warning);
    }
    co_await until_ending();
    log_info("agent", "stopping all instances",
             {{"grace_s", to_seconds(options.settings.stop_grace)}});
    result = co_await agent.stop_instances("the agent of this machine was stopped",
                                           options.settings.stop_grace + kStopSlack);
  }
  co_await control.close();
  std::error_code ignored;
  fs::remove(control_endpoint(options.data).host, ignored);
  co_return result;
}

}  // namespace

Task<Result<>> serve_agent(asio::any_io_executor executor, AgentOptions options) {
  CO_TRY_DO(co_await check_cloud(options.cloud, options.allow_remote_cloud));
  options.data = fs::absolute(options.data);
  CO_TRY(const FolderLock lock, FolderLock::take(options.data.string(), "agent"));
  CO_TRY(const std::unique_ptr<FileStateStore> store, FileStateStore::open(options.data));
  CO_TRY(const std::unique_ptr<FileLogSegments> segments,
         FileLogSegments::open((options.data / "logs").string()));
  RealClock clock;
  RealRandom random;
  options.driver.data_folder = options.data.string();
  CO_TRY(const runtime::OpenedDriver opened,
         co_await runtime::open_driver(executor, clock, options.driver));
  runtime::ContainerDriver* const driver = opened.driver.get();
  say_runtime(opened, options);
  link::CloudDialer cloud(clock, options.cloud, link::kSessionUpgrade);
  GatewayDialer gateways(clock);
  NodeAgent::Parts parts{.executor = executor,
                         .clock = clock,
                         .random = random,
                         .driver = *driver,
                         .store = *store,
                         .dialer = cloud,
                         .tunnels = &gateways,
                         .log_segments = segments.get()};
  if (!options.join_token_file.empty()) {
    parts.fresh_join_token = [&options] {
      return read_first_line(options.join_token_file).value_or(options.join_token);
    };
  }
  EndpointMeter endpoints(clock, options.settings.measured, options.settings.measure_period);
  const GpuMeter gpus(kGpuPeriod);
  parts.read_machine = [&endpoints, &gpus] {
    return link::MachineReading{.gpus = gpus.readings(), .endpoints = endpoints.readings()};
  };
  NodeAgent agent(std::move(parts), options.settings, options.facts, options.join_token);
  Scope meters(executor, "meters");
  if (!options.settings.measured.empty()) meters.spawn(endpoints.run());
  const Result<> result = co_await run_until_cancelled(executor, clock, agent, options);
  co_await meters.stop();
  co_await agent.close();
  co_await driver->close();
  co_return result;
}

}  // namespace mesclun::agent
