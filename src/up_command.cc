#include "up_command.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>

#include "api/gpu_class.h"
#include "base/command_line.h"
#include "base/file_limit.h"
#include "base/log.h"
#include "base/service.h"
#include "client/context.h"
#include "cloud/cloud_host.h"
#include "gateway/gateway.h"
#include "link/ticket.h"
#include "local_agents.h"

namespace mesclun {

namespace {

constexpr Duration kNodesJoinMax = 20s;
// Of two days on a cloud of one machine nobody has anything.
constexpr Duration kExclusion = 2min;
// Who tries things out on a machine of one's own uses a name twice.
constexpr Duration kDeletedRetention = 10s;

struct UpSettings {
  cloud::CloudHostSettings cloud;
  Endpoint gateway{.host = "127.0.0.1", .port = 8801};
  int nodes = 1;
  std::vector<std::string> node_texts;
  std::vector<NodeWish> wishes;
  std::string runtime = "auto";
  std::string engine;
  std::string organization = "local";
  std::string project = "default";
  Duration stop_grace = 10s;
  bool agent_restarts = true;
  bool egress = true;
  std::vector<std::string> services;
  LogSettings log;
};

constexpr size_t kOtherFiles = 1024;  // tunnels, databases, the log

// The gateway on a loop of its own, fed by the cloud's node port.
class LocalGateway {
 public:
  LocalGateway(const Endpoint& nodes, const cloud::Secrets& secrets, const std::string& folder)
      : loop_("gateway"),
        secret_(secrets.tunnel_secret),
        dialer_(clock_, nodes, link::kRoutesUpgrade) {
    gateway::GatewaySettings settings;
    settings.session.name = "local";
    settings.session.gateway_token = secrets.gateway_token;
    settings.session.gateway_token_file = folder + "/gateway.token";
    settings.session.tunnel_endpoint = nodes.to_string();
    settings.session.usage_period = 1s;
    // NAME.localhost is known to curl and browsers, but to few others.
    settings.proxy.path_names = true;
    // Beside those of the API and of nodes.
    const size_t others = 2 * std::min(HttpLimits().connections_max, raise_file_limit() / 8);
    settings.proxy.connections_max = fit_connections(
        "clients of the gateway", settings.proxy.connections_max, others + kOtherFiles);
    settings_ = settings;
  }

  // Binds on the caller's side first, so that a busy port is told before anything starts.
  Task<Result<Endpoint>> start(Endpoint listen) {
    co_return co_await loop_.run(start_on_loop(std::move(listen)));
  }
  Task<void> stop() {
    if (gateway_) co_await loop_.run(stop_on_loop());
  }

  // A tunnel that came to the node port: the ticket is checked here, the bytes move over there.
  void take_tunnel(ConnPtr conn, const std::string& ticket) {
    const auto machine =
        link::check_tunnel_ticket(secret_, ticket, to_unix_seconds(clock_.wall_now()));
    const int descriptor = machine ? conn->release_descriptor() : -1;
    if (descriptor < 0) {
      log_warning("up", "a tunnel was refused", {{"peer", conn->peer_address()}});
      conn->close();
      return;
    }
    asio::post(loop_.executor(), [this, descriptor, id = *machine] {
      if (gateway_) gateway_->adopt_tunnel(descriptor, id, "");
      if (!gateway_) ::close(descriptor);  // it has ended before its nodes
    });
  }

 private:
  Task<Result<Endpoint>> start_on_loop(Endpoint listen) {
    CO_TRY(Listener listener, Listener::bind(loop_.executor(), listen));
    const Endpoint bound = listener.endpoint();
    gateway_ =
        std::make_unique<gateway::Gateway>(loop_.executor(), clock_, random_, settings_, dialer_);
    gateway_->serve_clients(std::move(listener));
    gateway_->start();
    co_return bound;
  }
  Task<void> stop_on_loop() {
    co_await gateway_->stop();
    gateway_.reset();
  }

  RealClock clock_;
  RealRandom random_;
  std::unique_ptr<gateway::Gateway> gateway_;
  // After what its last tunnels look at.
  LoopThread loop_;
  std::string secret_;
  link::CloudDialer dialer_;
  gateway::GatewaySettings settings_;
};

std::string this_program() {
  std::error_code failure;
  return std::filesystem::read_symlink("/proc/self/exe", failure).string();
}

// Unless told otherwise each node offers an equal part of the machine's memory, and all of its
// cores: cores are shared by time.
std::string memory_part(size_t nodes) {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t bytes = pages * sysconf(_SC_PAGE_SIZE) / static_cast<int64_t>(nodes);
  return fmt::format("{}MiB", std::max<int64_t>(bytes / (1024 * 1024), 1024));
}

Result<> start_agents(LocalAgents& agents, const UpSettings& settings,
                      const cloud::CloudHost& host) {
  for (size_t i = 0; i < settings.wishes.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    AgentCommand command{.program = this_program(), .cloud = host.nodes()};
    command.join_token_file = settings.cloud.data + "/join.token";
    command.folder = settings.cloud.data + "/nodes/" + number;
    command.stop_grace = settings.stop_grace;
    command.log_warnings = i == 0;
    command.log = settings.log;
    command.egress = settings.egress;
    command.services = settings.services;
    command.runtime = settings.runtime;
    command.engine = settings.engine;
    command.node = settings.wishes[i];
    if (command.node.name.empty()) command.node.name = "node-" + number;
    if (command.node.memory.empty()) command.node.memory = memory_part(settings.wishes.size());
    TRY_DO(agents.start(command));
  }
  return {};
}

Task<Result<>> wait_for_nodes(cloud::CloudHost& host, size_t wanted) {
  RealClock clock;
  const TimePoint end = clock.now() + kNodesJoinMax;
  while (true) {
    size_t online = 0;
    for (const auto& [id, node] : host.cloud().fleet().nodes.all()) online += node.online() ? 1 : 0;
    if (online >= wanted) co_return Result<>();
    if (clock.now() >= end) {
      log_warning("up", "not all nodes joined yet; their lines above may say why",
                  {{"online", online}, {"wanted", wanted}});
      co_return Result<>();
    }
    CO_TRY_DO(co_await clock.sleep_for(20ms));
  }
}

Result<> write_context(const UpSettings& settings, const cloud::CloudHost& host,
                       const Endpoint& gateway, const cloud::CloudHost::FirstUser& user) {
  client::ContextValues values;
  values.api = host.api().to_string();
  values.gateway = gateway.to_string();
  values.organization = settings.organization;
  values.project = settings.project;
  values.api_key = user.api_key;
  values.operator_key = host.secrets().operator_key;
  values.data = std::filesystem::absolute(settings.cloud.data).lexically_normal().string();
  return client::write_context(client::process_environment(), std::move(values));
}

// The operator may have added classes: only the cloud knows them all.
Result<> check_gpu_classes(const std::vector<NodeWish>& wishes, const cloud::GpuClasses& classes) {
  for (const NodeWish& wish : wishes) {
    for (const std::string& name : wish.gpu_classes) {
      const auto found = api::find_gpu_class(classes.all(), name);
      if (found) continue;
      return Error::invalid(
          fmt::format("--node gpu-class={}: {}, or add one: mesclun gpu-class add NAME", name,
                      found.error().message));
    }
  }
  return {};
}

Task<Result<>> run_up(cloud::CloudHost& host, LocalGateway& gateway, LocalAgents& agents,
                      const UpSettings& settings) {
  CO_TRY(const Endpoint bound, co_await gateway.start(settings.gateway));
  host.cloud().set_tunnel_handler([&gateway](ConnPtr conn, std::string ticket) {
    gateway.take_tunnel(std::move(conn), ticket);
  });
  CO_TRY(const auto user, co_await host.first_user(settings.organization, settings.project));
  CO_TRY_DO(start_agents(agents, settings, host));
  CO_TRY_DO(co_await wait_for_nodes(host, settings.wishes.size()));
  if (const Result<> written = write_context(settings, host, bound, user); !written) {
    log_warning("up", "no context file: give the commands their addresses by flags",
                {{"error", written.error().message}});
  }
  fmt::print(
      "ready api=http://{}/api/public gateway=http://{} organization={} project={} api_key={}\n",
      host.api().to_string(), bound.to_string(), user.organization, user.project, user.api_key);
  std::fflush(stdout);
  co_return co_await agents.watch();
}

Result<> check_listen(std::string_view flag, const Endpoint& endpoint) {
  boost::system::error_code failure;
  asio::ip::make_address(endpoint.host, failure);
  if (!failure) return {};
  return Error::invalid(
      fmt::format("{} {}: write a numeric address and a port, such as 127.0.0.1:8800 or [::]:8800",
                  flag, endpoint.to_string()));
}

// `wrong_usage`: why it ended is the command line.
Task<Result<>> up(asio::io_context& io, UpSettings settings, bool& wrong_usage) {
  CO_TRY(auto host, co_await cloud::CloudHost::start(io.get_executor(), settings.cloud));
  if (const Result<> checked = check_gpu_classes(settings.wishes, host->cloud().gpu_classes());
      !checked) {
    wrong_usage = true;
    co_await host->stop();
    co_return checked;
  }
  RealClock clock;
  LocalAgents agents(clock, settings.agent_restarts);
  LocalGateway gateway(host->nodes(), host->secrets(), settings.cloud.data);
  const Result<> ended = co_await run_up(*host, gateway, agents, settings);
  // From here on to the end, whatever a further signal says: it ends the process at once.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  // Requests in flight end while their instances still run.
  co_await gateway.stop();
  co_await agents.stop(settings.stop_grace + 5s);
  host->cloud().set_tunnel_handler({});
  co_await host->stop();
  co_return ended;
}

Result<> complete(UpSettings& settings) {
  TRY_DO(check_listen("--api", settings.cloud.api));
  TRY_DO(check_listen("--nodes-listen", settings.cloud.nodes));
  TRY_DO(check_listen("--gateway", settings.gateway));
  for (const std::string& text : settings.node_texts) {
    auto wish = parse_node_wish(text);
    if (!wish) return Error::invalid("--node " + text + ": " + wish.error().message);
    settings.wishes.push_back(*std::move(wish));
  }
  if (static_cast<int>(settings.wishes.size()) < settings.nodes) {
    settings.wishes.resize(static_cast<size_t>(settings.nodes));
  }
  return {};
}

}  // namespace

int run_up_command(int argc, char** argv) {
  UpSettings settings;
  settings.cloud.cloud.fleet.exclusion = kExclusion;
  settings.cloud.cloud.fleet.deleted_retention = kDeletedRetention;
  CommandLine line(
      "A whole cloud on this machine, in the foreground: control plane, gateway, and nodes that "
      "are\n"
      "processes of their own. For development and small fleets. Prints one line 'ready api=...' "
      "when\n"
      "it serves, and writes the context file that the other commands read. Ctrl-C stops "
      "everything.\n"
      "Example: mesclun up --node country=us --node country=de,cpu-share=40",
      "mesclun up", "up");
  cloud::add_cloud_settings(line, settings.cloud);
  add_setting(line, "--gateway", settings.gateway, "Where applications are reached, by their Host");
  add_setting(line, "--nodes", settings.nodes, 0, 100, "How many nodes to run here");
  line.option("--node", settings.node_texts,
              "A node as KEY=VALUE,...: name, country, cpu, memory, cpu-share (percent of each "
              "core), gpu-class (pretended, and shown so); repeat for more")
      .value_name("SPEC");
  line.choice("--runtime", settings.runtime,
              {{"auto", "auto"}, {"process", "process"}, {"docker", "docker"}},
              "How instances run; auto is docker where an engine answers and this is root")
      .environment(line.variable_of("--runtime"));
  line.option("--engine", settings.engine, "Where Docker Engine answers")
      .value_name("ENDPOINT")
      .environment(line.variable_of("--engine"));
  add_setting(line, "--organization", settings.organization, "Made at the first start");
  add_setting(line, "--project", settings.project, "Made at the first start");
  add_setting(line, "--stop-grace", settings.stop_grace, 0s, 10min,
              "From SIGTERM to SIGKILL of an instance");
  line.flag("--agent-restarts,!--no-agent-restarts", settings.agent_restarts,
            "Start an agent again that ended by itself (on by default); without, its node is gone, "
            "like a machine that vanished")
      .environment(line.variable_of("--agent-restarts"));
  add_setting(line, "--service", settings.services, "127.0.0.1:PORT",
              "A service on 127.0.0.1 that instances of every node reach at the same address; may "
              "be repeated");
  line.flag("--egress,!--no-egress", settings.egress,
            "Let instances reach other machines (on by default); see `mesclun agent --help`")
      .environment(line.variable_of("--egress"));
  add_log_settings(line, settings.log);
  if (const auto status = line.parse(argc, argv)) return *status;
  if (const Result<> completed = complete(settings); !completed) {
    return fail_usage("mesclun up", completed.error().message);
  }
  setup_logging(settings.log);
  keep_files_private();
  bool wrong_usage = false;
  const int status =
      run_service([&](asio::io_context& io) { return up(io, settings, wrong_usage); });
  return wrong_usage ? 2 : status;
}

}  // namespace mesclun
