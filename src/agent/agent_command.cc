#include "agent/agent_command.h"

#include <unistd.h>

#include <cstdlib>

#include "agent/agent_service.h"
#include "agent/control_endpoint.h"
#include "agent/gpu_discovery.h"
#include "agent/machine_facts.h"
#include "api/gpu_class.h"
#include "api/names.h"
#include "base/command_line.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/real_clock.h"
#include "base/service.h"
#include "base/text.h"

namespace mesclun::agent {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDescription =
    "Offers this machine to a Mesclun cloud and runs the instances that it places here.\n"
    "\n"
    "The agent dials the cloud and the gateways; nothing ever connects to it. Its identity and "
    "what it runs are\n"
    "kept in the data folder. Ctrl-C or SIGTERM ends every instance within the grace and then the "
    "agent; after a\n"
    "kill -9 the instances run on and the next agent over the same folder adopts them.\n"
    "\n"
    "As root, with Docker Engine on this machine, instances are containers. Otherwise they are "
    "processes: the image\n"
    "of a group is only a name, its command runs with the files of this machine and the rights of "
    "this user.\n"
    "Therefore a cloud elsewhere is refused unless you say --allow-remote-cloud.";

constexpr const char* kFooter =
    "Examples:\n"
    "  mesclun agent --join-token \"$TOKEN\"\n"
    "  mesclun agent --data /srv/b --name b --cpu-share 25 --gpu-class 'RTX 4090 (24 GB)'\n"
    "  mesclun agent status --data /srv/b\n"
    "  mesclun agent drain --data /srv/b";

struct CommandSettings {
  AgentOptions options;
  std::string join_token_file;
  std::string data;
  size_t memory_bytes = 0;
  size_t storage_bytes = 0;
  size_t image_cache_bytes = runtime::ImageCacheLimits().bytes_max;
  std::vector<std::string> gpu_classes;
  std::vector<std::string> services;
  std::vector<std::string> measured;
  std::string verb;
  bool json = false;
  LogSettings log;
};

std::string default_data_folder() {
  if (::geteuid() == 0) return "/var/lib/mesclun/agent";
  if (const char* base = std::getenv("XDG_DATA_HOME"); base != nullptr && *base == '/') {
    return std::string(base) + "/mesclun/agent";
  }
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "." : home) + "/.local/share/mesclun/agent";
}

void add_cloud_settings(CommandLine& line, CommandSettings& s) {
  AgentOptions& options = s.options;
  add_setting(line, "--cloud", options.cloud, "Where the cloud takes nodes");
  add_setting(line, "--join-token", options.join_token,
              "Lets a machine in that the cloud does not know yet");
  line.option("--join-token-file", s.join_token_file,
              "A file with the join token in it, read again whenever the cloud is dialled")
      .value_name("FILE")
      .excludes("--join-token")
      .environment(line.variable_of("--join-token-file"));
  line.flag("--allow-remote-cloud", options.allow_remote_cloud,
            "Take instances from a cloud on another machine, whose users can then run anything "
            "here")
      .environment(line.variable_of("--allow-remote-cloud"));
  add_setting(line, "--data", s.data, "Folder for identity, state and files; one agent each")
      .value_name("DIR");
}

void add_offer_settings(CommandLine& line, CommandSettings& s, const MachineFacts& machine) {
  link::NodeFacts& facts = s.options.facts;
  facts.hostname = machine.hostname;
  facts.cpu = machine.cpu;
  s.memory_bytes = machine.memory_bytes;
  s.storage_bytes = machine.storage_bytes;
  add_setting(line, "--name", facts.hostname, "How the machine is shown");
  add_setting(
      line, "--country", facts.country,
      "Where it stands, as a lower-case ISO 3166-1 code; groups that name countries need it")
      .check([](const std::string& text) {
        return text.empty() || api::is_country_code(text) ? std::string()
                                                          : "is not a country code such as de";
      });
  add_setting(line, "--cpu", facts.cpu, 1, 1024, "Cores offered");
  add_bytes_setting(line, "--memory", s.memory_bytes, 1024 * 1024, uint64_t{1} << 50,
                    "Memory offered");
  add_bytes_setting(line, "--storage", s.storage_bytes, 0, uint64_t{1} << 60, "Disk space offered");
  add_setting(line, "--gpu-class", s.gpu_classes, "NAME|UUID",
              "A GPU that is pretended, by the name or id of its class; shown as pretended "
              "everywhere; may be repeated");
  add_setting(line, "--cpu-share", facts.cpu_share_percent, 1, 100,
              "Percent of each core that instances get: a slow machine for development");
  const std::vector<std::pair<std::string, runtime::RuntimeKind>> runtimes = {
      {"auto", runtime::RuntimeKind::Auto},
      {"process", runtime::RuntimeKind::Process},
      {"docker", runtime::RuntimeKind::Docker}};
  line.choice("--runtime", s.options.driver.kind, runtimes,
              "What runs instances; auto is docker where an engine answers and this is root")
      .environment(line.variable_of("--runtime"));
  add_setting(line, "--engine", s.options.driver.engine, "Where Docker Engine answers");
  add_bytes_setting(line, "--image-cache-size", s.image_cache_bytes, 0, uint64_t{1} << 50,
                    "Images pulled here that no instance uses, together; beyond, the least lately "
                    "used go");
  add_setting(line, "--image-cache-age", s.options.driver.image_cache.age_max, 1min, 365 * 24h,
              "How long an image pulled here stays that no instance uses");
  add_setting(line, "--image-cache-private-age", s.options.driver.image_cache.private_age_max, 5s,
              365 * 24h, "The same for a private image, unless its group has image_caching");
  add_setting(line, "--disk-period", s.options.driver.disk_period, 100ms, 1h,
              "How often it is looked how much containers wrote; longer where looking takes long");
}

void add_network_settings(CommandLine& line, CommandSettings& s) {
  add_setting(line, "--measure", s.measured, "NAME=URL",
              "Where `node get` says how far it is, by its latency and throughput, such as "
              "s3-eu=https://eu.example.com/32MB; may be repeated up to 8 times");
  add_setting(line, "--measure-period", s.options.settings.measure_period, 1s, 168h,
              "How often; each time fetches at most 32 MiB from each");
  add_setting(line, "--service", s.services, "127.0.0.1:PORT",
              "A service on 127.0.0.1 of this machine that instances reach at the same address, "
              "such as the job queue's; may be repeated up to 8 times");
  line.flag("--egress,!--no-egress", s.options.driver.egress,
            "Let instances reach other machines (on by default); as root this adds a table "
            "'mesclun' to the packet filter and switches on IP forwarding")
      .environment(line.variable_of("--egress"));
  line.flag("--warnings,!--no-warnings", s.options.log_warnings,
            "Log what this machine lacks (on by default); `agent status` and `node list` show it "
            "in any case")
      .environment(line.variable_of("--warnings"));
}

void add_behaviour_settings(CommandLine& line, AgentSettings& s) {
  add_setting(line, "--stop-grace", s.stop_grace, 0s, 1h, "From SIGTERM to SIGKILL");
  add_setting(line, "--heartbeat", s.heartbeat, 100ms, 1min,
              "How often the cloud hears from an idle agent, unless it says otherwise");
  add_setting(line, "--stop-after-silence", s.stop_after_silence, 0s,
              Duration(std::chrono::hours(24 * 30)),
              "Without a session with the cloud for so long all instances are stopped; 0s: never");
  add_setting(line, "--usage-period", s.usage_period, 500ms, 30s,
              "How often the cloud is told what instances use");
  add_setting(line, "--report-gap", s.report_gap, 1ms, 1s, "Least time between two reports");
  add_setting(line, "--action-delay", s.action_delay, 0s, 5s,
              "From an instance's own restart, recreate or reallocate call to the deed");
  add_setting(line, "--cloud-back-off-max", s.cloud.back_off_max, 1s, 10min,
              "Longest wait between two dials of the cloud");
  add_setting(line, "--refused-back-off", s.cloud.refused_wait, 1s, 1h,
              "Wait after the cloud refused this node");
  add_setting(line, "--tunnel-back-off-max", s.gateways.back_off_max, 100ms, 1min,
              "Longest wait between two dials of a gateway");
  add_setting(line, "--log-interval", s.logs.interval, 0s, 1min,
              "How often the output of instances is collected; 0: never");
  add_bytes_setting(line, "--log-buffer", s.logs.spool_bytes_max, 64 * 1024, size_t{16} << 30,
                    "Disk space for output that the cloud has not stored yet; beyond, the oldest "
                    "lines are dropped and counted");
  line.choice("--metadata-header", s.metadata_header,
              {{"strict", HeaderRule::Strict},
               {"relaxed-for-actions", HeaderRule::RelaxedForActions},
               {"off", HeaderRule::Off}},
              "Whether the metadata service insists on 'Metadata: true'; some published clients "
              "leave it out of their restart, recreate and reallocate calls")
      .environment(line.variable_of("--metadata-header"));
}

void add_verbs(CommandLine& line, CommandSettings& s) {
  const std::pair<const char*, const char*> verbs[] = {
      {"pause", "Keep what runs, take nothing new"},
      {"resume", "Take new instances again"},
      {"drain", "Let go of what runs and take nothing new"},
      {"status", "Show what runs here"}};
  for (const auto& [verb, help] : verbs) {
    CommandLine& sub = line.verb(verb, help);
    sub.allow_outer_flags();
    sub.when_named([&s, verb] { s.verb = verb; });
    sub.flag("--json", s.json, "Print JSON");
  }
  line.require_verbs(0, 1);
}

link::GpuFacts pretended_gpu(const std::string& text) {
  link::GpuFacts gpu{.pretended = true};
  if (const auto known = api::find_gpu_class(api::known_gpu_classes(), text)) {
    gpu.class_id = is_uuid(text) ? (*known)->id : "";
    gpu.name = (*known)->name;
  } else if (is_uuid(text)) {
    gpu.class_id = lower_case(text);
    gpu.name = gpu.class_id;
  } else {
    gpu.name = text;
  }
  return gpu;
}

// The rest of what the machine offers; the cloud resolves names of GPUs to classes.
Result<> complete(CommandSettings& s) {
  AgentOptions& options = s.options;
  options.data = s.data;
  options.driver.image_cache.bytes_max = static_cast<int64_t>(s.image_cache_bytes);
  options.facts.agent_version = MESCLUN_VERSION;
  options.facts.memory_mb = static_cast<int64_t>(s.memory_bytes / (1024 * 1024));
  options.facts.storage_mb = static_cast<int64_t>(s.storage_bytes / (1024 * 1024));
  GpuDiscovery found = discover_gpus();
  options.facts.gpus = std::move(found.gpus);
  options.facts.gpu_driver = std::move(found.driver);
  options.facts.cuda = std::move(found.cuda);
  if (!found.problem.empty()) options.facts.warnings.push_back(std::move(found.problem));
  for (const std::string& text : s.gpu_classes) options.facts.gpus.push_back(pretended_gpu(text));
  if (s.services.size() > runtime::kServicesMax) {
    return Error::invalid(fmt::format("at most {} --service are possible", runtime::kServicesMax));
  }
  for (const std::string& text : s.services) {
    TRY(Endpoint service, parse_endpoint(text));
    options.driver.services.push_back(std::move(service));
  }
  if (s.measured.size() > kMeasuredEndpointsMax) {
    return Error::invalid(fmt::format("at most {} --measure are possible", kMeasuredEndpointsMax));
  }
  for (const std::string& text : s.measured) {
    Result<MeasuredEndpoint> endpoint = parse_measured_endpoint(text);
    if (!endpoint) return Error::invalid("--measure " + endpoint.error().message);
    options.settings.measured.push_back(*std::move(endpoint));
  }
  if (!s.join_token_file.empty()) {
    TRY(options.join_token, read_first_line(s.join_token_file));
    options.join_token_file = fs::absolute(s.join_token_file).string();
  }
  return {};
}

Task<Result<>> ask_and_print(CommandSettings settings) {
  RealClock clock;
  CO_TRY(const AgentStatus status, co_await ask_agent(settings.data, clock, settings.verb));
  fmt::print("{}", settings.json ? to_json_text(status) + "\n" : describe(status));
  co_return Result<>();
}

}  // namespace

int run_agent_command(int argc, char** argv) {
  CommandSettings settings;
  settings.data = default_data_folder();
  CommandLine line(kDescription, "mesclun agent", "agent");
  line.footer(kFooter);
  add_cloud_settings(line, settings);
  add_offer_settings(line, settings, read_machine_facts(settings.data));
  add_network_settings(line, settings);
  add_behaviour_settings(line, settings.options.settings);
  add_log_settings(line, settings.log);
  add_verbs(line, settings);
  if (const auto status = line.parse(argc, argv)) return *status;
  setup_logging(settings.log);
  if (!settings.verb.empty()) {
    return run_service([&](asio::io_context&) { return ask_and_print(settings); });
  }
  if (const Result<> completed = complete(settings); !completed) {
    fmt::print(stderr, "mesclun: {}\n", completed.error().message);
    return 2;
  }
  keep_files_private();
  return run_service(
      [&](asio::io_context& io) { return serve_agent(io.get_executor(), settings.options); });
}

}  // namespace mesclun::agent
