#include "runtime/shim/shim_keeper.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace mesclun::runtime {

namespace {

constexpr int kKillAgainAfterMs = 10;

// True once there are no children.
bool collect_children() {
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
  }
  return pid < 0 && errno == ECHILD;
}

[[noreturn]] void keep(pid_t shim) {
  ::prctl(PR_SET_NAME, "mesclun-keeper");
  // A machine that shuts down asks everybody to end; the shim decides what that means.
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  // Others wait for the end of what we have inherited.
  ::close_range(0, ~0U, 0);
  if (::chdir("/") != 0) ::_exit(1);
  while (::waitpid(shim, nullptr, 0) < 0 && errno == EINTR) {
  }
  while (!collect_children()) {
    for (const pid_t pid : descendants(::getpid())) ::kill(pid, SIGKILL);
    ::poll(nullptr, 0, kKillAgainAfterMs);
  }
  ::_exit(0);
}

}  // namespace

Result<ProcessRef> split_off_keeper() {
  TRY(ProcessRef keeper, process_ref(::getpid()));
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot fork");
  if (pid > 0) keep(pid);
  return keeper;
}

void heed_keeper(const ProcessRef& keeper) {
  ::prctl(PR_SET_PDEATHSIG, SIGHUP);
  // It may have ended before we asked.
  if (::getppid() != keeper.pid) ::raise(SIGHUP);
}

}  // namespace mesclun::runtime
