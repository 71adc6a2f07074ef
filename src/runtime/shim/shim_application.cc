#include "runtime/shim/shim_application.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {

namespace {

// A turn reads at most this much of a stream, so that a flood does not shut out the agent.
constexpr size_t kReadsPerTurn = 4;
// Descriptors of the application's output may have been handed out of the run; then no end comes.
constexpr Duration kDrainMax = 1s;
constexpr Duration kKillAgainAfter = 50ms;

// A pipe for one stream of a child; only our end does not block.
Result<std::pair<Descriptor, Descriptor>> output_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

}  // namespace

ShimApplication::ShimApplication(Setup setup, Clock& clock)
    : run_(std::move(setup)),
      clock_(clock),
      log_(".", static_cast<size_t>(run_.record.log_bytes_max)) {}

ChildSpec ShimApplication::child_spec() const {
  return {.command = run_.record.command,
          .environment = run_.record.environment,
          .folder = run_.record.folder,
          .cgroups = run_.record.cgroups};
}

Result<int64_t> ShimApplication::start() {
  if (phase_ != Phase::Waiting) {
    return Error{ErrorCode::FailedPrecondition, "started already"};
  }
  TRY(auto out, output_pipe());
  TRY(auto err, output_pipe());
  out_ = std::move(out.first);
  err_ = std::move(err.first);
  ChildSpec spec = child_spec();
  spec.out = out.second.get();
  spec.err = err.second.get();
  const Result<pid_t> pid = spawn_child(spec);
  if (!pid) {
    end({.code = -1, .start_failure = true, .detail = pid.error().message});
    return 0;
  }
  application_ = *pid;
  phase_ = Phase::Running;
  run_.state.start_time = wall_ns();
  // Needed only without an init; with one, this process sees the run's own /proc, not the
  // machine's.
  if (!run_.record.isolation.processes) {
    if (const Result<ProcessRef> process = process_ref(*pid)) run_.state.application = *process;
  }
  if (const Result<> kept = write_record("shim.json", run_.state); !kept) {
    kill_all();
    return kept.error();
  }
  return run_.state.start_time;
}

void ShimApplication::stop(Duration grace) {
  if (phase_ == Phase::Waiting) {
    end({.code = 128 + SIGTERM, .detail = "stopped before it was started"});
    return;
  }
  if (phase_ != Phase::Running) return;
  const TimePoint until = clock_.now() + grace;
  if (!kill_at_) ::kill(-application_, SIGTERM);
  // Asked twice: the shorter patience counts.
  if (kill_at_ && *kill_at_ <= until) return;
  kill_at_ = until;
  grace_ = grace;
}

void ShimApplication::end(RunExit exit) {
  if (phase_ != Phase::Waiting && phase_ != Phase::Running) return;
  exit.time = wall_ns();
  if (const int64_t kills = out_of_memory_kills(run_.record.cgroups);
      kills > 0 && exit.code == 128 + SIGKILL && !grace_ended_) {
    exit.detail = fmt::format("out of memory: more than {:.0f} MiB",
                              static_cast<double>(run_.record.memory_bytes) / (1024 * 1024));
  } else if (grace_ended_ && exit.code == 128 + SIGKILL) {
    exit.detail = fmt::format("killed, did not end within {:.0f} s of SIGTERM", to_seconds(grace_));
  }
  exit_ = std::move(exit);
  phase_ = Phase::Killing;
  kill_all();
}

void ShimApplication::kill_all() {
  kill_again_at_ = clock_.now() + kKillAgainAfter;
  if (run_.record.isolation.processes) {
    if (run_.init != 0) ::kill(run_.init, SIGKILL);
    return;
  }
  if (application_ != 0) ::kill(-application_, SIGKILL);
  kill_cgroups(run_.record.cgroups);
  for (const pid_t pid : descendants(::getpid())) ::kill(pid, SIGKILL);
}

void ShimApplication::on_child_ended(pid_t pid, int status) {
  if (pid == application_) {
    application_ = 0;
    end(describe_status(status));
  } else if (pid == run_.init) {
    run_.init = 0;
    // Somebody killed it, and with it all of the run.
    if (phase_ == Phase::Waiting) end({.code = 137});
  }
}

void ShimApplication::on_no_child_left() {
  if (phase_ != Phase::Killing) return;
  phase_ = Phase::Draining;
  drain_until_ = clock_.now() + kDrainMax;
}

void ShimApplication::on_time() {
  const TimePoint now = clock_.now();
  if (phase_ == Phase::Running && kill_at_ && !grace_ended_ && now >= *kill_at_) {
    grace_ended_ = true;
    kill_all();
  }
  if (phase_ == Phase::Killing && now >= kill_again_at_) kill_all();
  if (phase_ == Phase::Draining && ((!out_ && !err_) || now >= drain_until_)) finish();
}

TimePoint ShimApplication::next_time() const {
  TimePoint next = TimePoint::max();
  if (phase_ == Phase::Killing) next = std::min(next, kill_again_at_);
  if (phase_ == Phase::Draining) next = std::min(next, drain_until_);
  if (kill_at_ && !grace_ended_) next = std::min(next, *kill_at_);
  return next;
}

void ShimApplication::read_stream(Descriptor& pipe, char stream) {
  char buffer[64 * 1024];
  for (size_t i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      pipe.reset();
      return;
    }
    log_.write(stream, std::string_view(buffer, static_cast<size_t>(n)), wall_ns());
  }
}

void ShimApplication::finish() {
  log_.finish(wall_ns());
  // Busy for a moment after the last process; the agent sees to what is left.
  for (int i = 0; i < 50 && !remove_cgroups(run_.record.cgroups); ++i) ::poll(nullptr, 0, 10);
  std::string text = to_json_text(*exit_);
  // What keeps its blocks; JSON does not mind.
  if (text.size() < kExitBytes) text.resize(kExitBytes, ' ');
  Result<> kept = run_.exit_file.write(text);
  // After a power loss nobody asks how a run ended that could not outlive it.
  if (kept) kept = run_.exit_file.commit(Durability::ProcessCrash);
  if (!kept) ::dprintf(STDERR_FILENO, "%s\n", kept.error().message.c_str());
  ::unlink("control");
  phase_ = Phase::Done;
}

}  // namespace mesclun::runtime
