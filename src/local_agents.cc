#include "local_agents.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "api/names.h"
#include "base/back_off.h"
#include "base/command_line.h"
#include "base/file_limit.h"
#include "base/integer.h"
#include "base/units.h"

namespace mesclun {

namespace {

constexpr Duration kRestartMin = 1s;
constexpr Duration kRestartMax = 30s;
constexpr Duration kLongLife = 1min;  // an agent that lived so long starts again soon
constexpr int kUsageStatus = 2;
// What an agent takes for --memory.
constexpr uint64_t kMemoryMin = uint64_t{1} << 20;
constexpr uint64_t kMemoryMax = uint64_t{1} << 50;

Result<int> number(std::string_view key, std::string_view text, int min, int max) {
  const auto value = parse_integer<int>(text);
  if (!value || *value < min || *value > max) {
    return Error::invalid(
        fmt::format("{} must be a whole number between {} and {}, not '{}'", key, min, max, text));
  }
  return *value;
}

Result<> set_wish(NodeWish& wish, std::string_view key, std::string_view value) {
  if (key == "name") {
    wish.name = value;
  } else if (key == "country") {
    if (!api::is_country_code(value)) {
      return Error::invalid(
          fmt::format("country must be a lower-case ISO 3166-1 code such as de, not '{}'", value));
    }
    wish.country = value;
  } else if (key == "cpu") {
    TRY(wish.cpu, number(key, value, 1, 1024));
  } else if (key == "memory") {
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes < kMemoryMin || *bytes > kMemoryMax) {
      return Error::invalid(fmt::format("memory must be a size between {} and {}, not '{}'",
                                        format_bytes(kMemoryMin), format_bytes(kMemoryMax), value));
    }
    wish.memory = value;
  } else if (key == "cpu-share") {
    TRY(wish.cpu_share, number(key, value, 1, 100));
  } else if (key == "gpu-class") {
    if (value.empty()) return Error::invalid("gpu-class must be the name or id of a class");
    wish.gpu_classes.emplace_back(value);
  } else {
    return Error::invalid(fmt::format(
        "'{}' is no key of a node; use name, country, cpu, memory, cpu-share, gpu-class", key));
  }
  return {};
}

}  // namespace

Result<NodeWish> parse_node_wish(std::string_view text) {
  NodeWish wish;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return Error::invalid(fmt::format("'{}' is not KEY=VALUE", part));
    }
    TRY_DO(set_wish(wish, part.substr(0, equals), part.substr(equals + 1)));
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  }
  return wish;
}

std::vector<std::string> agent_arguments(const AgentCommand& command) {
  std::vector<std::string> out{command.program,
                               "agent",
                               "--cloud",
                               command.cloud.to_string(),
                               "--join-token-file",
                               command.join_token_file,
                               "--data",
                               command.folder,
                               "--stop-grace",
                               fmt::format("{}ms", to_millis(command.stop_grace)),
                               "--usage-period",
                               fmt::format("{}ms", to_millis(command.usage_period)),
                               "--name",
                               command.node.name,
                               "--country",
                               command.node.country,
                               "--cpu-share",
                               std::to_string(command.node.cpu_share)};
  if (command.node.cpu > 0) {
    out.insert(out.end(), {"--cpu", std::to_string(command.node.cpu)});
  }
  if (!command.node.memory.empty()) out.insert(out.end(), {"--memory", command.node.memory});
  for (const std::string& gpu : command.node.gpu_classes) {
    out.insert(out.end(), {"--gpu-class", gpu});
  }
  if (!command.log_warnings) out.emplace_back("--no-warnings");
  if (!command.egress) out.emplace_back("--no-egress");
  if (!command.runtime.empty()) out.insert(out.end(), {"--runtime", command.runtime});
  if (!command.engine.empty()) out.insert(out.end(), {"--engine", command.engine});
  for (const std::string& service : command.services) {
    out.insert(out.end(), {"--service", service});
  }
  std::ranges::move(log_arguments(command.log), std::back_inserter(out));
  return out;
}

LocalAgents::~LocalAgents() {
  for (const Child& child : children_) {
    if (child.pid == 0) continue;
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }
}

Result<> LocalAgents::start(AgentCommand command) {
  std::error_code failure;
  std::filesystem::create_directories(command.folder, failure);
  if (failure) {
    return Error::unavailable(fmt::format("cannot make {}: {}", command.folder, failure.message()));
  }
  return launch(children_.emplace_back(Child{.command = std::move(command)}));
}

Result<> LocalAgents::launch(Child& child) {
  const std::vector<std::string> arguments = agent_arguments(child.command);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Error::unavailable(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (pid == 0) {
    // Only async-signal-safe calls here. Ctrl-C is for the parent, which stops us in order.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, STDIN_FILENO);
    signal(SIGPIPE, SIG_DFL);
    restore_file_limit();
    // Our ports and the lock of our folder must not live on in a child.
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execv(argv[0], argv.data());
    _exit(127);
  }
  child.pid = pid;
  child.start = clock_.now();
  child.due.reset();
  std::ofstream(child.command.folder + "/agent.pid") << pid << "\n";
  return {};
}

void LocalAgents::reap(bool expected) {
  for (Child& child : children_) {
    int status = 0;
    if (child.pid == 0 || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    child.pid = 0;
    if (!expected) note_end(child, status);
  }
}

void LocalAgents::note_end(Child& child, int status) {
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  const std::string& node = child.command.node.name;
  if (!restarts_ || code == kUsageStatus) {
    log_warning("up", "an agent ended; its node is gone until `mesclun up` runs again",
                {{"node", node}, {"status", code}});
    return;
  }
  const TimePoint now = clock_.now();
  if (now - child.start >= kLongLife) child.failures = 0;
  const Duration wait = back_off_step(kRestartMin, kRestartMax, child.failures++);
  child.due = now + wait;
  log_warning("up", "an agent ended; it is started again",
              {{"node", node}, {"status", code}, {"in_s", to_seconds(wait)}});
}

bool LocalAgents::any_alive() const {
  return std::ranges::any_of(children_, [](const Child& child) { return child.pid != 0; });
}

Task<Result<>> LocalAgents::watch() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(200ms));
    reap(false);
    for (Child& child : children_) {
      if (child.due && clock_.now() >= *child.due) CO_TRY_DO(launch(child));
    }
  }
}

Task<void> LocalAgents::stop(Duration limit) {
  for (const Child& child : children_) {
    if (child.pid != 0) kill(child.pid, SIGTERM);
  }
  const TimePoint end = clock_.now() + limit;
  while (any_alive() && clock_.now() < end) {
    reap(true);
    if (!any_alive()) break;
    if (!co_await clock_.sleep_for(50ms)) break;
  }
  for (const Child& child : children_) {
    if (child.pid == 0) continue;
    log_warning("up", "an agent did not stop in time", {{"node", child.command.node.name}});
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }
  children_.clear();
}

}  // namespace mesclun
