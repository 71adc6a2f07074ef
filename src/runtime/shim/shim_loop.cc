#include "runtime/shim/shim_loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace mesclun::runtime {

namespace {

constexpr Duration kLookAroundEvery = 5s;
// When the machine shuts down it asks all processes at once and gives them about 90 s.
constexpr Duration kGraceOfShutdown = 30s;
constexpr const char* kKeeperKilled = "the keeper of the process that watches over it was killed";

}  // namespace

ShimLoop::ShimLoop(Setup setup)
    : signals_(std::move(setup.signals)),
      application_(std::move(setup.application), clock_),
      server_(std::move(setup.server), application_, clock_),
      look_around_at_(clock_.now() + kLookAroundEvery) {}

void ShimLoop::run() {
  while (!application_.done()) turn();
}

void ShimLoop::turn() {
  std::vector<pollfd> waits;
  // -1 is skipped by poll.
  for (const int descriptor :
       {signals_.get(), application_.out().get(), application_.err().get()}) {
    waits.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  }
  server_.add_waits(waits);
  ::poll(waits.data(), waits.size(), poll_timeout_ms());

  if (waits[1].revents != 0) application_.read_out();
  if (waits[2].revents != 0) application_.read_err();
  server_.serve(std::span(waits).subspan(3));
  if (waits[0].revents != 0) on_signals();
  // No signal tells that there never was a child.
  if (application_.killing()) collect_children();
  application_.on_time();
  server_.on_time();
  if (clock_.now() >= look_around_at_) look_around();
}

int ShimLoop::poll_timeout_ms() const {
  const TimePoint next = std::min({look_around_at_, application_.next_time(), server_.next_time()});
  const Duration left = std::max(next - clock_.now(), Duration::zero());
  return static_cast<int>(to_millis(left)) + 1;
}

void ShimLoop::on_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM) application_.stop(kGraceOfShutdown);
    // Nobody would end the run if we were killed too.
    if (info.ssi_signo == SIGHUP) application_.end({.code = 137, .detail = kKeeperKilled});
  }
  collect_children();
}

void ShimLoop::collect_children() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    application_.on_child_ended(pid, status);
    server_.on_child_ended(pid, status);
  }
  if (pid < 0 && errno == ECHILD) application_.on_no_child_left();
}

void ShimLoop::look_around() {
  look_around_at_ = clock_.now() + kLookAroundEvery;
  // Without its folder nobody will ever ask for this run again.
  struct stat status{};
  if (::stat(".", &status) == 0 && status.st_nlink == 0) application_.end({.code = 137});
}

}  // namespace mesclun::runtime
