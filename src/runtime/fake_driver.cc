#include "runtime/fake_driver.h"

namespace mesclun::runtime {

namespace {

Error misfit(std::string message) {
  return Error{ErrorCode::FailedPrecondition, std::move(message)};
}

constexpr size_t kLogLinesMax = 1'000;
constexpr int64_t kDiskBytes = 10'000'000'000;

HttpResponse refused(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  return response;
}

Task<HttpResponse> just(HttpResponse response) {
  co_return response;
}

}  // namespace

FakeDriver::FakeDriver(const asio::any_io_executor& executor, Clock& clock, Random& random,
                       Script script)
    : executor_(executor),
      clock_(clock),
      random_(random),
      script_(std::move(script)),
      scope_(executor, "fake driver") {}

FakeDriver::~FakeDriver() = default;

Task<void> FakeDriver::close() {
  co_await scope_.stop();
}

Result<FakeDriver::RunPtr> FakeDriver::find(const std::string& instance_id) const {
  const auto found = runs_.find(instance_id);
  if (found == runs_.end()) return Error::not_found("no such run");
  return found->second;
}

Task<Result<std::vector<RunInfo>>> FakeDriver::list() {
  std::vector<RunInfo> out;
  for (const auto& [id, run] : runs_) {
    RunInfo info{.instance_id = id, .label = run->spec.label};
    info.started = run->started;
    info.start_time = run->start_wall;
    info.exit = run->exit;
    out.push_back(std::move(info));
  }
  co_return out;
}

Task<Result<>> FakeDriver::check() {
  if (!trouble_.empty()) co_return Error::unavailable(trouble_);
  co_return Result<>();
}

Task<Result<>> FakeDriver::create(RunSpec spec) {
  if (runs_.contains(spec.instance_id)) {
    co_return Error{ErrorCode::AlreadyExists, "that run exists"};
  }
  CO_TRY(std::string files, take_files(spec));
  const FakeRun behaviour = script_ ? script_(spec, random_) : FakeRun{};
  if (behaviour.create_time > Duration::zero()) {
    CO_TRY_DO(co_await clock_.sleep_for(behaviour.create_time));
  }
  if (!behaviour.create_error.empty()) {
    co_return behaviour.bad_spec ? Error::invalid(behaviour.create_error)
                                 : Error::unavailable(behaviour.create_error);
  }
  auto run = std::make_shared<Run>(executor_);
  run->spec = std::move(spec);
  run->files = std::move(files);
  run->behaviour = behaviour;
  run->number = creates_++;
  runs_[run->spec.instance_id] = run;
  co_return Result<>();
}

Result<std::string> FakeDriver::take_files(const RunSpec& spec) const {
  if (spec.files_of.empty()) return spec.instance_id;
  TRY(const RunPtr earlier, find(spec.files_of));
  for (const auto& [id, run] : runs_) {
    if (run->files == earlier->files && !run->exit) return misfit("a run still uses those files");
  }
  return earlier->files;
}

Result<std::optional<Listener>> FakeDriver::metadata_listener(const std::string& instance_id) {
  TRY(const RunPtr run, find(instance_id));
  if (run->exit) return misfit("it has ended");
  return std::optional<Listener>();
}

Task<Result<>> FakeDriver::start(std::string instance_id) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (std::exchange(run->ordered, true)) co_return misfit("it was started before");
  if (run->exit) co_return misfit("it was stopped");
  if (run->behaviour.start_time == Duration::zero()) {
    begin(run);
    co_return Result<>();
  }
  scope_.spawn(begin_later(run));
  while (!run->started && !run->exit) CO_TRY_DO(co_await run->changed.wait());
  if (!run->started) co_return misfit("it was stopped");
  co_return Result<>();
}

Task<Result<>> FakeDriver::begin_later(RunPtr run) {
  CO_TRY_DO(co_await clock_.sleep_for(run->behaviour.start_time));
  if (!run->exit) begin(run);
  co_return Result<>();
}

void FakeDriver::begin(const RunPtr& run) {
  const FakeRun& behaviour = run->behaviour;
  ++starts_;
  run->started = true;
  run->start_time = clock_.now();
  run->start_wall = to_unix_nanos(clock_.wall_now());
  for (const std::string& line : behaviour.output) write_log(run->spec.instance_id, "stdout", line);
  if (!behaviour.start_failure.empty()) {
    end(*run, -1, behaviour.start_failure);
    run->exit->start_failure = true;
  } else if (behaviour.exit_after) {
    scope_.spawn(exit_later(run, *behaviour.exit_after, behaviour.exit_code, {}));
  }
  if (behaviour.overfills_after && !run->exit) {
    scope_.spawn(overfill_later(run, *behaviour.overfills_after));
  }
  run->changed.notify_all();
}

Task<Result<>> FakeDriver::exit_later(RunPtr run, Duration after, int32_t code,
                                      std::string detail) {
  CO_TRY_DO(co_await clock_.sleep_for(after));
  end(*run, code, std::move(detail));
  co_return Result<>();
}

Task<Result<>> FakeDriver::overfill_later(RunPtr run, Duration after) {
  CO_TRY_DO(co_await clock_.sleep_for(after));
  overfill(run->spec.instance_id);
  co_return Result<>();
}

void FakeDriver::end(Run& run, int32_t code, std::string detail) {
  if (run.exit) return;
  run.exit_time = clock_.now();
  run.exit =
      RunExit{.code = code, .detail = std::move(detail), .time = to_unix_nanos(clock_.wall_now())};
  run.changed.notify_all();
}

Task<Result<RunExit>> FakeDriver::wait(std::string instance_id) {
  CO_TRY(const RunPtr run, find(instance_id));
  while (!run->exit) CO_TRY_DO(co_await run->changed.wait());
  co_return *run->exit;
}

Task<Result<DiskExcess>> FakeDriver::disk_excess(std::string instance_id) {
  CO_TRY(const RunPtr run, find(instance_id));
  while (!run->overfull && !run->exit) CO_TRY_DO(co_await run->changed.wait());
  if (run->exit) co_return misfit("it has ended");
  const int64_t most = run->spec.disk_bytes == 0 ? kDiskBytes : run->spec.disk_bytes;
  co_return DiskExcess{.used_bytes = most + 1, .bytes_max = most};
}

Task<Result<>> FakeDriver::set_limits(std::string instance_id, RunLimits limits) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (run->exit) co_return misfit("that run has ended");
  if (!limits_refused_.empty()) co_return Error::unavailable(limits_refused_);
  run->spec.cpu_cores = limits.cpu_cores;
  run->spec.memory_bytes = limits.memory_bytes;
  run->spec.disk_bytes = limits.disk_bytes;
  co_return Result<>();
}

Result<> FakeDriver::set_image_caching(const std::string& instance_id, bool caching) {
  TRY(const RunPtr run, find(instance_id));
  run->spec.image_caching = caching;
  return {};
}

Task<Result<>> FakeDriver::stop(std::string instance_id, Duration grace) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (run->exit) co_return Result<>();
  if (!run->started) {
    end(*run, 143, "stopped before it was started");
    co_return Result<>();
  }
  const Duration stop_time = run->behaviour.stop_time;
  const TimePoint killed_at = clock_.now() + grace;
  if (stop_time == Duration::zero()) {
    end(*run, 143, "terminated");
  } else if (!std::exchange(run->terminated, true)) {
    scope_.spawn(exit_later(run, stop_time, 143, "terminated"));
  }
  while (!run->exit && clock_.now() < killed_at) {
    CO_TRY_DO(co_await run->changed.wait_until(clock_, killed_at));
  }
  end(*run, 137, "killed after the grace");
  co_return Result<>();
}

Task<Result<>> FakeDriver::remove(std::string instance_id) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (!run->exit) co_return misfit("it has not ended");
  runs_.erase(instance_id);
  co_return Result<>();
}

bool FakeDriver::answers(const Run& run) const {
  if (!run.started || run.exit) return false;
  if (run.healthy) return *run.healthy;
  const Duration age = clock_.now() - run.start_time;
  if (run.behaviour.broken_after && age >= *run.behaviour.broken_after) return false;
  return age >= run.behaviour.ready_after;
}

Task<Result<ConnPtr>> FakeDriver::connect(std::string instance_id, uint16_t, bool, Duration) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (run->exit) co_return misfit("it has ended");
  if (!answers(*run)) {
    co_return Error{ErrorCode::Unavailable, "connection refused", Cause::Refused};
  }
  auto [ours, theirs] = memory_conn_pair(executor_, clock_);
  auto handler = [this, instance_id](HttpRequest request) {
    return just(application_ ? application_(instance_id, request) : HttpResponse{.body = "ok\n"});
  };
  scope_.spawn(serve_http(std::move(theirs), clock_, HttpLimits{}, std::move(handler), refused));
  co_return std::move(ours);
}

Task<Result<int32_t>> FakeDriver::exec(std::string instance_id, std::vector<std::string> command,
                                       Duration limit) {
  CO_TRY(const RunPtr run, find(instance_id));
  if (!run->started || run->exit) co_return misfit("it does not run");
  if (run->behaviour.exec_time) {
    const Duration length = run->behaviour.exec_time(command);
    CO_TRY_DO(co_await clock_.sleep_for(std::min(length, limit)));
    if (length > limit) co_return Error::deadline("the command took too long");
  }
  co_return answers(*run) ? 0 : 1;
}

Task<Result<std::vector<LogChunk>>> FakeDriver::read_log(std::string instance_id,
                                                         size_t lines_max) {
  CO_TRY(const RunPtr run, find(instance_id));
  std::vector<LogChunk> out;
  while (!run->log.empty() && out.size() < lines_max) {
    out.push_back(std::move(run->log.front()));
    run->log.pop_front();
  }
  co_return out;
}

void FakeDriver::exit_now(const std::string& instance_id, int32_t code) {
  if (const auto run = find(instance_id); run && (*run)->started) end(**run, code, {});
}

void FakeDriver::overfill(const std::string& instance_id) {
  const auto run = find(instance_id);
  if (!run) return;
  (*run)->overfull = true;
  (*run)->changed.notify_all();
}

void FakeDriver::set_healthy(const std::string& instance_id, bool healthy) {
  if (const auto run = find(instance_id)) (*run)->healthy = healthy;
}

void FakeDriver::write_log(const std::string& instance_id, std::string stream, std::string text) {
  const auto run = find(instance_id);
  if (!run) return;
  LogChunk chunk{.stream = std::move(stream),
                 .time = to_unix_nanos(clock_.wall_now()),
                 .text = std::move(text)};
  (*run)->log.push_back(std::move(chunk));
  if ((*run)->log.size() > kLogLinesMax) (*run)->log.pop_front();
}

void FakeDriver::reboot() {
  const std::map<std::string, RunPtr> gone = std::exchange(runs_, {});
  for (const auto& [id, run] : gone) end(*run, 137, "the machine was restarted");
}

std::vector<std::string> FakeDriver::live() const {
  std::vector<std::pair<uint64_t, std::string>> numbered;
  for (const auto& [id, run] : runs_) {
    if (run->started && !run->exit) numbered.emplace_back(run->number, id);
  }
  std::ranges::sort(numbered);
  std::vector<std::string> out;
  for (auto& [number, id] : numbered) out.push_back(std::move(id));
  return out;
}

bool FakeDriver::was_started(const std::string& instance_id) const {
  const auto run = find(instance_id);
  return run && (*run)->started;
}

bool FakeDriver::was_ready(const std::string& instance_id) const {
  const auto found = find(instance_id);
  if (!found || !(*found)->started) return false;
  const Run& run = **found;
  if (run.healthy) return *run.healthy;
  const TimePoint until = run.exit ? run.exit_time : clock_.now();
  return until - run.start_time >= run.behaviour.ready_after;
}

const RunSpec* FakeDriver::find_spec(const std::string& instance_id) const {
  const auto found = runs_.find(instance_id);
  return found == runs_.end() ? nullptr : &found->second->spec;
}

Task<Result<std::vector<RunUsage>>> FakeDriver::usage() {
  if (usage_.empty()) co_return Error{ErrorCode::Unimplemented, "no usage was set"};
  std::vector<RunUsage> out;
  for (const std::string& id : live()) {
    if (const auto known = usage_.find(id); known != usage_.end()) out.push_back(known->second);
  }
  co_return out;
}

}  // namespace mesclun::runtime
