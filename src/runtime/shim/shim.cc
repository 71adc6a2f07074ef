#include "runtime/shim/shim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/shim/shim_keeper.h"
#include "runtime/shim/shim_loop.h"
#include "runtime/walls/cgroup.h"
#include "runtime/walls/netns.h"

namespace mesclun::runtime {

namespace {

struct Init {
  pid_t pid = 0;
  ProcessRef process;
  Descriptor lifeline;
};

Result<Init> start_init() {
  int life[2];
  int answer[2];
  if (::pipe2(life, O_CLOEXEC) != 0) return system_error("no pipe");
  Descriptor life_reading(life[0]);
  Init init{.lifeline = Descriptor(life[1])};
  if (::pipe2(answer, O_CLOEXEC) != 0) return system_error("no pipe");
  Descriptor answer_reading(answer[0]);
  Descriptor answer_writing(answer[1]);
  init.pid = ::fork();
  if (init.pid < 0) return system_error("cannot fork");
  if (init.pid == 0) {
    init.lifeline.reset();
    // The first byte says that the process was looked at from outside: after that there is another
    // /proc.
    char go = 0;
    if (::read(life_reading.get(), &go, 1) != 1) ::_exit(0);
    // Keep nothing open that others wait for the end of.
    const int last = std::max(life_reading.get(), answer_writing.get());
    for (int i = 0; i < last; ++i) {
      if (i != life_reading.get() && i != answer_writing.get()) ::close(i);
    }
    ::close_range(static_cast<unsigned>(last) + 1, ~0U, 0);
    run_init(std::move(life_reading), std::move(answer_writing));
  }
  answer_writing.reset();
  TRY(init.process, process_ref(init.pid));
  if (::write(init.lifeline.get(), "g", 1) != 1) return system_error("no init process");
  char text[200];
  const ssize_t n = ::read(answer_reading.get(), text, sizeof text);
  const std::string_view said(text, n > 0 ? static_cast<size_t>(n) : 0);
  if (said == "+") return init;
  ::kill(init.pid, SIGKILL);
  ::waitpid(init.pid, nullptr, 0);
  return Error::unavailable(said.empty() ? "the init process ended" : std::string(said));
}

Result<Descriptor> take_signals() {
  sigset_t mine;
  ::sigemptyset(&mine);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&mine, signal);
  ::sigprocmask(SIG_BLOCK, &mine, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Descriptor signals(::signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return system_error("no signalfd");
  return signals;
}

// The blocks of exit.json, so that a full disk does not hide how the run ended.
Result<FileDraft> reserve_exit_file() {
  TRY(FileDraft draft, FileDraft::open("exit.json"));
  TRY_DO(draft.write(std::string(kExitBytes, ' ')));
  return draft;
}

Result<ShimLoop::Setup> set_up(const std::string& folder, const ProcessRef& keeper) {
  if (::chdir(folder.c_str()) != 0) return system_error("cannot enter " + folder);
  ::umask(077);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_NAME, "mesclun-shim");
  ShimLoop::Setup setup;
  auto& [application, server, signals] = setup;
  application.state.keeper = keeper;
  TRY(application.record, read_record<RunRecord>("run.json"));
  TRY(application.state.shim, process_ref(::getpid()));
  TRY(signals, take_signals());
  TRY(server.control, listen_control());
  TRY(application.exit_file, reserve_exit_file());
  const Isolation isolation = application.record.isolation;
  TRY_DO(enter_isolation(isolation, application.record.instance_id, application.record.shm_bytes));
  heed_keeper(keeper);
  if (isolation.processes) {
    TRY(Init init, start_init());
    application.init = init.pid;
    application.state.init = init.process;
    application.lifeline = std::move(init.lifeline);
  }
  if (isolation.network) {
    TRY(server.metadata, listen_tcp(kMetadataAddress, kMetadataPort));
    for (const int32_t port : application.record.service_ports) {
      TRY(Descriptor service, listen_tcp("127.0.0.1", static_cast<uint16_t>(port)));
      server.services.push_back(std::move(service));
    }
  } else {
    TRY(server.metadata, listen_tcp("127.0.0.1", 0));
    application.record.environment.try_emplace(
        "SALAD_METADATA_URI",
        fmt::format("http://127.0.0.1:{}", local_port(server.metadata.get())));
  }
  TRY_DO(write_record("shim.json", application.state));
  return setup;
}

void say(const std::string& text) {
  const std::string line = text + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(1);
  // The end tells the reader that this was all.
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, STDOUT_FILENO);
  ::close(null);
}

int supervise(const std::string& folder) {
  const Result<ProcessRef> keeper = split_off_keeper();
  Result<ShimLoop::Setup> setup = keeper ? set_up(folder, *keeper) : keeper.error();
  ShimReady ready;
  if (!setup) ready.error = setup.error().message;
  say(to_json_text(ready));
  if (!setup) return 1;
  ShimLoop loop(*std::move(setup));
  loop.run();
  return 0;
}

// Runs `attempt` in a process of its own; what went wrong, or nothing.
std::string try_apart(const std::function<Result<>()>& attempt) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe").message;
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot fork").message;
  if (pid == 0) {
    const Result<> result = attempt();
    const std::string said = result ? "+" : result.error().message;
    ::_exit(::write(writing.get(), said.data(), said.size()) > 0 ? 0 : 1);
  }
  writing.reset();
  char text[300];
  const ssize_t n = ::read(reading.get(), text, sizeof text);
  ::waitpid(pid, nullptr, 0);
  const std::string said(text, n > 0 ? static_cast<size_t>(n) : 0);
  if (said == "+") return "";
  return said.empty() ? "the attempt died" : said;
}

Result<> try_isolation(Isolation isolation) {
  TRY_DO(enter_isolation(isolation, "mesclun-probe", 1 << 20));
  if (isolation.processes) {
    TRY(const Init init, start_init());
    ::kill(init.pid, SIGKILL);
    ::waitpid(init.pid, nullptr, 0);
  }
  if (isolation.network) {
    TRY(const Descriptor metadata, listen_tcp(kMetadataAddress, kMetadataPort));
  }
  return {};
}

int probe(std::vector<std::string> cgroups) {
  ShimProbe found;
  // Best first; a user namespace only where nothing better is allowed.
  constexpr Isolation kCandidates[] = {
      {.network = true, .processes = true},
      {.user = true, .network = true, .processes = true},
      {.network = true},
      {.user = true, .network = true},
      {},
  };
  for (const Isolation candidate : kCandidates) {
    const std::string problem = try_apart([candidate] { return try_isolation(candidate); });
    if (problem.empty()) {
      found.isolation = candidate;
      break;
    }
    if (found.isolation_problem.empty()) found.isolation_problem = problem;
  }
  for (const std::string& cgroup : cgroups) {
    const std::string problem = try_apart([&cgroup] { return join_cgroups({cgroup}); });
    if (problem.empty()) {
      found.cgroups.push_back(cgroup);
    } else {
      found.cgroup_problem = problem;
    }
  }
  say(to_json_text(found));
  return 0;
}

}  // namespace

int run_shim_command(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  int status = 2;
  if (arguments.size() == 2 && arguments[0] == "run") {
    status = supervise(arguments[1]);
  } else if (!arguments.empty() && arguments[0] == "probe") {
    status = probe({arguments.begin() + 1, arguments.end()});
  } else {
    fmt::print(stderr, "mesclun shim is started by mesclun agent, not by people\n");
  }
  // No destructors of others: they may wait for threads that this process never had.
  std::fflush(nullptr);
  ::_exit(status);
}

}  // namespace mesclun::runtime
