#include "runtime/process/run.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/race.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {

namespace {

// Older systems lack the name.
constexpr auto kPidfd = static_cast<idtype_t>(3);  // P_PIDFD
constexpr int kSocketsAtOnce = 8;
// SIGKILL works at once, but for processes that wait for a device.
constexpr Duration kEndLimit = 10s;
constexpr size_t kSocketsInStock = 16;

// Ends what a shim that was killed left behind. True once nothing is left. Its keeper does that too,
// and finds more; but it may have been killed as well.
bool end_leftovers(const Run& run) {
  bool gone = kill_cgroups(run.record.cgroups);
  if (run.shim.keeper && is_alive(*run.shim.keeper)) gone = false;
  // The init of a process namespace takes all of it along.
  if (run.shim.init && is_alive(*run.shim.init)) {
    gone = false;
    signal_process(*run.shim.init, SIGKILL);
  }
  if (run.shim.application && !kill_session(*run.shim.application)) gone = false;
  return gone;
}

// A child of an earlier agent is collected by somebody else.
void collect(const Descriptor& child) {
  siginfo_t info{};
  if (child) ::waitid(kPidfd, static_cast<id_t>(child.get()), &info, WEXITED | WNOHANG);
}

}  // namespace

Task<Result<>> watch_run(std::shared_ptr<Run> run, Clock& clock) {
  CO_TRY_DO(co_await wait_for_process(run->process.get()));
  co_return co_await settle_run(std::move(run), clock);
}

Task<Result<>> settle_run(std::shared_ptr<Run> run, Clock& clock) {
  // What it wrote since we looked.
  if (Result<ShimRecord> shim = read_record<ShimRecord>(run->folder + "/shim.json")) {
    run->shim = *std::move(shim);
    run->start_time = run->shim.start_time;
  }
  const std::string path = run->folder + "/exit.json";
  Result<RunExit> exit = read_record<RunExit>(path);
  if (!exit) {
    const TimePoint begin = clock.now();
    while (!end_leftovers(*run)) {
      if (clock.now() > begin + kEndLimit) {
        log_error("driver", "processes of a run cannot be killed",
                  {{"run", run->record.instance_id}});
        break;
      }
      CO_TRY_DO(co_await clock.sleep_for(10ms));
    }
    exit = RunExit{.code = 137,
                   .detail = "the process that watches over it was killed",
                   .time = to_unix_nanos(clock.wall_now())};
    if (const Result<> kept = write_record(path, *exit); !kept) {
      log_warning("driver", "cannot keep how a run ended",
                  {{"run", run->record.instance_id}, {"error", kept.error().message}});
    }
  }
  for (int i = 0; i < 100 && !remove_cgroups(run->record.cgroups); ++i) {
    CO_TRY_DO(co_await clock.sleep_for(10ms));
  }
  // It ends with the shim, unless there was something to kill; that has ended above.
  if (run->keeper) {
    const Result<> ended = co_await within(clock, kEndLimit, wait_for_process(run->keeper.get()));
    if (!ended && ended.code() == ErrorCode::Cancelled) co_return ended;
    if (!ended) {
      log_error("driver", "the keeper of a run does not end", {{"run", run->record.instance_id}});
    }
    collect(run->keeper);
  }
  run->keeper.reset();
  run->process.reset();
  run->metadata.reset();
  for (const auto& service : run->services) service->close();
  run->services.clear();
  run->sockets_v4.clear();
  run->sockets_v6.clear();
  run->exit = *std::move(exit);
  run->changed.notify_all();
  co_return Result<>();
}

Task<Result<Descriptor>> take_socket(std::shared_ptr<Run> run, int family, Clock& clock,
                                     Duration limit) {
  std::vector<Descriptor>& stock = family == AF_INET6 ? run->sockets_v6 : run->sockets_v4;
  if (!run->record.isolation.network) {
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) co_return system_error("no socket");
    co_return socket;
  }
  if (stock.empty()) {
    ShimRequest request{.verb = ShimVerb::Sockets, .family = family, .count = kSocketsAtOnce};
    CO_TRY(ShimAnswer answer, co_await ask_shim(run->folder, std::move(request), clock, limit));
    for (Descriptor& socket : answer.descriptors) {
      if (stock.size() < kSocketsInStock) stock.push_back(std::move(socket));
    }
  }
  // The run may have ended meanwhile, or others were faster.
  if (stock.empty()) co_return Error::unavailable("no socket in the run's network");
  Descriptor socket = std::move(stock.back());
  stock.pop_back();
  co_return socket;
}

}  // namespace mesclun::runtime
