#include "runtime/shim/shim_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {

namespace {

// How a child that could not become the program says why.
struct Failure {
  int error = 0;
  char what[200] = "";
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Tries what execvp would, but with the PATH of the new environment.
int execute(const std::string& program, const std::string& search, char** arguments,
            char** environment) {
  if (program.find('/') != std::string::npos) {
    ::execve(program.c_str(), arguments, environment);
    return errno;
  }
  int error = ENOENT;
  std::string_view rest = search;
  while (!program.empty() && !rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const std::string path = fmt::format("{}/{}", end == 0 ? "." : rest.substr(0, end), program);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ::execve(path.c_str(), arguments, environment);
    // A later entry may do better, but "not executable" says more than "not found".
    if (errno == EACCES) error = EACCES;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
  }
  return error;
}

void default_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// What a child is before it is anything else.
[[noreturn]] void guard(const ChildSpec& spec, GuardSetup setup, std::span<const int> ends) {
  default_signals();
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!join_cgroups(spec.cgroups)) refuse_exec(setup.socket, errno);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) refuse_exec(setup.socket, errno);
  // All of these are above 2, where the shim's own are.
  for (int i = 0; i < 3; ++i) ::dup2(ends.empty() ? null : ends[static_cast<size_t>(i)], i);
  setup.socket = ::dup2(setup.socket, 3) == 3 ? 3 : setup.socket;
  ::close_range(4, ~0U, 0);
  ::umask(022);
  if (::chdir(spec.folder.c_str()) != 0) refuse_exec(setup.socket, errno);
  std::vector<std::string> arguments = spec.command;
  std::vector<std::string> variables;
  for (const auto& [name, value] : spec.environment) variables.push_back(name + "=" + value);
  std::vector<char*> environment = pointers(variables);
  ::environ = environment.data();
  const std::vector<char*> words = pointers(arguments);
  setup.arguments = const_cast<char**>(words.data());
  run_exec_guard(setup);
}

[[noreturn]] void become(const ChildSpec& spec, int report) {
  const auto fail = [report](int error, std::string_view what) {
    Failure failure{.error = error};
    std::memcpy(failure.what, what.data(), std::min(what.size(), sizeof failure.what - 1));
    const bool told = ::write(report, &failure, sizeof failure) > 0;
    ::_exit(told ? 127 : 126);
  };
  default_signals();
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const Result<> joined = join_cgroups(spec.cgroups); !joined) {
    fail(errno, joined.error().message);
  }
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail(errno, "cannot open /dev/null");
  ::dup2(null, 0);
  ::dup2(spec.out >= 0 ? spec.out : null, 1);
  ::dup2(spec.err >= 0 ? spec.err : null, 2);
  // Whatever was inherited by mistake ends here; `report` is among it and tells by closing.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  ::umask(022);
  if (::chdir(spec.folder.c_str()) != 0) fail(errno, "cannot enter " + spec.folder);

  std::vector<std::string> arguments = spec.command;
  std::vector<std::string> variables;
  for (const auto& [name, value] : spec.environment) variables.push_back(name + "=" + value);
  const auto path = spec.environment.find("PATH");
  const int error = execute(spec.command[0], path == spec.environment.end() ? "" : path->second,
                            pointers(arguments).data(), pointers(variables).data());
  const bool no_interpreter = error == ENOENT && spec.command[0].find('/') != std::string::npos &&
                              ::access(spec.command[0].c_str(), F_OK) == 0;
  fail(error, fmt::format("cannot start '{:.150}'{}", spec.command[0],
                          no_interpreter ? " (its interpreter is missing)" : ""));
  ::_exit(127);
}

}  // namespace

Result<pid_t> spawn_child(const ChildSpec& spec) {
  if (spec.command.empty()) return Error::invalid("no command");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe");
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot fork");
  if (pid == 0) become(spec, writing.get());
  writing.reset();
  Failure failure;
  ssize_t n = 0;
  while ((n = ::read(reading.get(), &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  if (n <= 0) return pid;
  ::waitpid(pid, nullptr, 0);
  errno = failure.error;
  return system_error(failure.what);
}

Result<pid_t> spawn_guard(const ChildSpec& spec, GuardSetup setup, std::span<const int> ends) {
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot fork");
  if (pid == 0) guard(spec, setup, ends);
  return pid;
}

RunExit describe_status(int status) {
  if (WIFEXITED(status)) return RunExit{.code = WEXITSTATUS(status)};
  const int signal = WTERMSIG(status);
  return RunExit{.code = 128 + signal,
                 .detail = fmt::format("killed by signal {} ({})", signal, ::strsignal(signal))};
}

}  // namespace mesclun::runtime
