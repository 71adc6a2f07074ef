#include "runtime/process/process_driver.h"

#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "base/race.h"
#include "runtime/guarded_exec.h"
#include "runtime/loopback.h"
#include "runtime/process/run_adoption.h"
#include "runtime/process/run_launch.h"
#include "runtime/run_usage.h"

namespace mesclun::runtime {

namespace {

// For what a shim does at once.
constexpr Duration kAskLimit = 10s;
// After the grace, for the kernel to end everything.
constexpr Duration kEndLimit = 10s;

}  // namespace

ProcessDriver::ProcessDriver(asio::any_io_executor executor, Clock& clock,
                             ProcessDriverSettings settings)
    : clock_(clock),
      settings_(std::move(settings)),
      runs_(settings_.data_folder),
      scope_(executor, "process driver") {}

Task<Result<std::unique_ptr<ProcessDriver>>> ProcessDriver::open(asio::any_io_executor executor,
                                                                 Clock& clock,
                                                                 ProcessDriverSettings settings) {
  std::unique_ptr<ProcessDriver> driver(
      new ProcessDriver(std::move(executor), clock, std::move(settings)));
  const Result<> prepared = co_await driver->prepare();
  if (prepared) co_return driver;
  co_await driver->close();
  co_return prepared.error();
}

Task<Result<>> ProcessDriver::prepare() {
  if (settings_.services.size() > kServicesMax) co_return Error::invalid("more than 8 services");
  CO_TRY_DO(runs_.open());
  CO_TRY(walls_, co_await try_machine(settings_, clock_));
  co_return co_await adopt_runs(parts());
}

Task<void> ProcessDriver::close() {
  co_await scope_.stop();
}

Task<Result<std::vector<RunInfo>>> ProcessDriver::list() {
  std::vector<RunInfo> found;
  for (const auto& [id, run] : runs_.all()) {
    if (!run->ready) continue;
    found.push_back({.instance_id = id,
                     .label = run->record.label,
                     .started = run->start_time != 0,
                     .start_time = run->start_time,
                     .exit = run->exit});
  }
  co_return found;
}

Task<Result<>> ProcessDriver::check() {
  co_return co_await check_machine(settings_, walls_, clock_);
}

Task<Result<>> ProcessDriver::create(RunSpec spec) {
  co_return co_await launch_run(parts(), std::move(spec));
}

Result<std::optional<Listener>> ProcessDriver::metadata_listener(const std::string& instance_id) {
  TRY(const RunPtr run, runs_.find_living(instance_id));
  // Its shim did not hand it over: it is about to end.
  if (!run->metadata) {
    return Error{ErrorCode::FailedPrecondition, fmt::format("run {} has ended", instance_id)};
  }
  Descriptor copy(::fcntl(run->metadata.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return system_error("cannot copy the metadata socket");
  TRY(Listener listener, Listener::adopt(scope_.executor(), copy.release()));
  return std::optional<Listener>(std::move(listener));
}

Task<Result<>> ProcessDriver::start(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  ShimRequest request{.verb = ShimVerb::Start};
  CO_TRY(const ShimAnswer answer,
         co_await ask_shim(run->folder, std::move(request), clock_, kAskLimit));
  run->start_time = answer.reply.start_time;
  co_return Result<>();
}

Task<Result<>> ProcessDriver::set_limits(std::string instance_id, RunLimits limits) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  CO_TRY_DO(check_limits(limits));
  co_return walls_.cgroups.change(
      instance_id, {.cpu_cores = limits.cpu_cores, .memory_bytes = limits.memory_bytes});
}

Task<Result<RunExit>> ProcessDriver::wait(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  CO_TRY_DO(co_await wait_for_exit(run));
  co_return *run->exit;
}

Task<Result<>> ProcessDriver::stop(std::string instance_id, Duration grace) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  if (run->exit) co_return Result<>();
  ShimRequest request{.verb = ShimVerb::Stop, .limit_ms = to_millis(grace)};
  const Result<ShimAnswer> asked =
      co_await ask_shim(run->folder, std::move(request), clock_, kAskLimit);
  if (!asked && asked.code() == ErrorCode::Cancelled) co_return asked.error();
  // A shim that has just ended does not answer; one that is stuck dies below.
  const Duration patience =
      asked || asked.code() == ErrorCode::Unavailable ? grace + kEndLimit : 0s;
  Result<> done = co_await within(clock_, patience, wait_for_exit(run));
  if (done || done.code() != ErrorCode::DeadlineExceeded) co_return done;
  log_warning("driver", "a shim did not end its run and is killed", {{"run", instance_id}});
  signal_process(run->shim.shim, SIGKILL);
  co_return co_await within(clock_, 2 * kEndLimit, wait_for_exit(run));
}

Task<Result<>> ProcessDriver::remove(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find_ended(instance_id));
  runs_.remove(*run);
  co_return Result<>();
}

Task<Result<ConnPtr>> ProcessDriver::connect(std::string instance_id, uint16_t port,
                                             bool ipv6_first, Duration limit) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  co_return co_await connect_loopback(
      [this, run](int family, Duration left) { return take_socket(run, family, clock_, left); },
      port, ipv6_first, clock_, limit);
}

Task<Result<int32_t>> ProcessDriver::exec(std::string instance_id, std::vector<std::string> command,
                                          Duration limit) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  if (command.empty()) co_return Error::invalid("no command");
  ShimRequest request{
      .verb = ShimVerb::Exec, .command = std::move(command), .limit_ms = to_millis(limit)};
  // The shim keeps the limit; ours is for a shim that does not answer.
  CO_TRY(const ShimAnswer answer,
         co_await ask_shim(run->folder, std::move(request), clock_, limit + kAskLimit));
  if (answer.reply.timed_out) {
    co_return Error::deadline(fmt::format("the command took longer than {} ms", to_millis(limit)));
  }
  co_return answer.reply.exit_code;
}

Task<Result<std::unique_ptr<ExecStream>>> ProcessDriver::open_exec(std::string instance_id,
                                                                   ExecSpec spec) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  CO_TRY_DO(check_exec(spec));
  ShimRequest request{.verb = ShimVerb::Attach,
                      .command = spec.command,
                      .tty = spec.tty,
                      .rows = spec.size.rows,
                      .columns = spec.size.columns,
                      .environment = spec.environment};
  ExecPipes pipes;
  std::vector<int> ends;
  if (!spec.tty) {
    CO_TRY(pipes, make_exec_pipes());
    ends = pipes.theirs.numbers();
  }
  CO_TRY(Descriptor socket, co_await within(clock_, kAskLimit, connect_shim(run->folder, clock_)));
  const std::string text = to_json_text(request);
  if (text.size() > kControlMessageBytesMax) {
    co_return Error::invalid(
        fmt::format("a command of more than {} bytes", kControlMessageBytesMax));
  }
  CO_TRY_DO(send_message(socket.get(), text, ends));
  pipes.theirs = {};
  co_return co_await attach_exec(std::move(socket), std::move(pipes.ours), spec.command[0], clock_,
                                 kAskLimit);
}

Task<Result<std::vector<RunUsage>>> ProcessDriver::usage() {
  std::vector<RunUsage> out;
  UsageReader reader;
  for (const auto& [id, run] : runs_.all()) {
    if (run->exit || run->start_time == 0) continue;
    out.push_back(reader.read(id, walls_.cgroups.usage(id), run->shim.shim.pid));
  }
  co_return out;
}

Task<Result<std::vector<LogChunk>>> ProcessDriver::read_log(std::string instance_id,
                                                            size_t lines_max) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  co_return run->log.read(lines_max);
}

}  // namespace mesclun::runtime
