#include "companion/application_process.h"

#include <unistd.h>

#include <csignal>

#include "base/log.h"

namespace mesclun::companion {

Result<> ApplicationProcess::start(const std::vector<std::string>& command) {
  ProcessTable::Start start{.argv = command};
  // On a terminal it stays in the foreground group: it may read keys, and Ctrl-C reaches both,
  // so that it is not passed on.
  start.own_group = ::isatty(STDIN_FILENO) == 0;
  TRY(pid_, table_.start(start));
  group_ = start.own_group ? pid_ : 0;
  return {};
}

Task<Result<ProcessEnd>> ApplicationProcess::wait() {
  CO_TRY(const ProcessEnd end, co_await table_.wait(pid_));
  pid_ = 0;
  kill_group();
  co_return end;
}

void ApplicationProcess::heard_from_terminal(int number) {
  if (group_ == 0) heard_ = number;
}

void ApplicationProcess::signal(int number) {
  if (std::exchange(heard_, 0) == number) return;
  if (pid_ > 0) ::kill(pid_, number);
}

// What it left behind in its group.
void ApplicationProcess::kill_group() {
  if (group_ > 0) ::kill(-group_, SIGKILL);
}

Task<void> ApplicationProcess::stop(int number, Duration grace) {
  signal(number);
  const TimePoint end = clock_.now() + grace;
  while (running()) {
    if (clock_.now() >= end) {
      log_warning("app", "the application did not end within its grace and is killed",
                  {{"grace_s", to_seconds(grace)}});
      signal(SIGKILL);
      kill_group();
      break;
    }
    if (!co_await clock_.sleep_for(10ms)) break;
  }
  while (running()) {
    if (!co_await clock_.sleep_for(10ms)) break;
  }
}

}  // namespace mesclun::companion
