#include "runtime/docker/docker_driver.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/race.h"
#include "runtime/docker/answer.h"
#include "runtime/docker/cgroup_parent.h"
#include "runtime/docker/container_config.h"
#include "runtime/docker/docker_exec.h"
#include "runtime/docker/image_pull.h"
#include "runtime/docker/images.h"
#include "runtime/docker/starter_image.h"
#include "runtime/loopback.h"
#include "runtime/run_usage.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

namespace {

// For the starter to come and to start the program.
constexpr Duration kStartLimit = 30s;
// For an engine that is away when a container is to go.
constexpr Duration kDeleteAgain = 2s;
// After the grace, for the kernel to end everything.
constexpr Duration kEndLimit = 20s;

Task<Result<>> read_to_end(EngineStream& stream) {
  while (true) {
    CO_TRY(const std::string bytes, co_await stream.read());
    if (bytes.empty()) co_return Result<>();
  }
}

}  // namespace

DockerDriver::DockerDriver(asio::any_io_executor executor, Clock& clock,
                           DockerDriverSettings settings)
    : clock_(clock),
      settings_(std::move(settings)),
      engine_(clock, settings_.engine),
      runs_(settings_.data_folder),
      disks_(engine_, clock, runs_, settings_.disk_period),
      images_({.executor = executor,
               .clock = clock,
               .engine = engine_,
               .runs = runs_,
               .file = settings_.data_folder + "/images.json",
               .limits = settings_.image_cache,
               .period = settings_.image_period}),
      scope_(executor, "docker driver") {}

Task<Result<std::unique_ptr<DockerDriver>>> DockerDriver::open(asio::any_io_executor executor,
                                                               Clock& clock,
                                                               DockerDriverSettings settings) {
  std::unique_ptr<DockerDriver> driver(
      new DockerDriver(std::move(executor), clock, std::move(settings)));
  const Result<> prepared = co_await driver->prepare();
  if (prepared) co_return driver;
  co_await driver->close();
  co_return prepared.error();
}

Task<Result<>> DockerDriver::prepare() {
  if (::geteuid() != 0) {
    co_return Error{ErrorCode::PermissionDenied,
                    "the docker runtime needs root: it makes the containers' networks"};
  }
  if (settings_.services.size() > kServicesMax) co_return Error::invalid("more than 8 services");
  CO_TRY(const json::value engine, co_await ask_engine(engine_, settings_.engine));
  CO_TRY_DO(runs_.open());
  CO_TRY_DO(replace_file(settings_.data_folder + "/starter", starter_image(),
                         Durability::ProcessCrash, 0755));
  facts_ = {.runtime = "docker",
            .own_network = true,
            .limits_cpu = true,
            .limits_memory = true,
            .watches_disk = true};
  const Result<> egress =
      settings_.use_egress ? prepare_egress() : Error::unavailable("switched off");
  egress_ = egress.has_value();
  if (!egress_) {
    facts_.warnings.push_back(fmt::format(
        "applications do not reach other machines ({}): downloads and outside services fail",
        egress.error().message));
  }
  const Result<std::string> parent = make_cgroup_parent(engine);
  cgroup_parent_ = parent.value_or("");
  if (!parent) {
    facts_.warnings.push_back(fmt::format(
        "each container weighs as much as a session of the machine's owner, not all together ({})",
        parent.error().message));
  }
  CO_TRY_DO(co_await adopt_containers(
      {.settings = settings_, .engine = engine_, .runs = runs_, .scope = scope_, .clock = clock_}));
  images_.load();
  scope_.spawn(disks_.run());
  scope_.spawn(images_.run());
  co_return Result<>();
}

Task<void> DockerDriver::close() {
  disks_.stop();
  co_await scope_.stop();
}

Task<Result<std::vector<RunInfo>>> DockerDriver::list() {
  std::vector<RunInfo> found;
  for (const auto& [id, run] : runs_.all()) {
    if (!run->ready) continue;
    found.push_back({.instance_id = id,
                     .label = run->record.label,
                     .started = run->record.start_time != 0 && run->trouble.empty(),
                     .start_time = run->record.start_time,
                     .exit = run->exit});
  }
  co_return found;
}

Task<Result<>> DockerDriver::check() {
  CO_TRY_DO(co_await ask_engine(engine_, settings_.engine));
  co_return Result<>();
}

Task<Result<bool>> DockerDriver::has_image(std::string image) {
  co_return co_await images_.has(std::move(image));
}

Task<Result<>> DockerDriver::pull(std::string image, RegistryAccess access,
                                  std::function<void(double)> progress) {
  co_return co_await images_.pull(std::move(image), std::move(access), std::move(progress));
}

Task<Result<>> DockerDriver::create(RunSpec spec) {
  CO_TRY_DO(runs_.check_free(spec.instance_id));
  CO_TRY_DO(check_run(spec));
  if (spec.image.empty()) co_return Error::invalid("no image");
  DockerRecord record{.instance_id = spec.instance_id, .files = spec.instance_id};
  if (!spec.files_of.empty()) {
    CO_TRY(const RunPtr earlier, runs_.take_over(spec.files_of));
    record.files = earlier->record.files;
    record.container = earlier->record.container;
  }
  record.folder = runs_.files().folder(record.files);
  record.orders = {.command = spec.command, .environment = spec.environment};
  record.memory_bytes = spec.memory_bytes;
  record.disk_bytes = spec.disk_bytes;
  record.image = full_image_name(spec.image);
  record.image_caching = spec.image_caching;
  record.port = spec.port;
  record.create_time = to_unix_nanos(clock_.wall_now());
  record.label = spec.label;
  const auto run = std::make_shared<DockerRun>(scope_.executor(), std::move(record),
                                               runs_.files().run(spec.instance_id));
  // From here on nobody else can take its name or its files.
  runs_.add(run);
  images_.note_use(*run->record.image);
  const Result<> made = co_await make(run, std::move(spec));
  if (made) {
    run->ready = true;
    scope_.spawn(watch_container(run, engine_, clock_));
    scope_.spawn(follow_log(run, engine_, clock_, {}));
    co_return Result<>();
  }
  runs_.remove(*run);
  if (!run->record.container.empty()) co_await drop_container(run->record);
  co_return made;
}

Task<Result<>> DockerDriver::make(RunPtr run, RunSpec spec) {
  const std::string door = run->record.folder + "/door";
  for (const std::string& folder : {run->folder, run->record.folder}) {
    CO_TRY_DO(make_private_folder(folder));
  }
  CO_TRY_DO(make_private_folder(door));
  // Images may run as any user, and see nothing else of this machine.
  if (::chmod(door.c_str(), 0755) != 0) co_return system_error("cannot open " + door);
  CO_TRY(run->door, StarterDoor::open(scope_.executor(), door));

  CO_TRY(const json::value image, co_await inspect_image(engine_, spec.image));
  run->record.image_bytes = number_of(image, "Size");
  if (run->record.orders.command.empty()) run->record.orders.command = command_of_image(image);
  if (run->record.orders.command.empty()) {
    co_return Error::invalid(
        fmt::format("neither the image {} nor the group has a command; set "
                    "container.command",
                    spec.image));
  }
  CO_TRY(const std::string orders, write_orders(run->record.orders));
  if (run->record.container.empty()) {
    CO_TRY(run->record.container, co_await make_container(*run, spec));
  } else {
    const json::object limits =
        container_limits({.cpu_cores = spec.cpu_cores, .memory_bytes = spec.memory_bytes});
    CO_TRY_DO(co_await ask_container(engine_, run->record.container, "update", limits));
  }
  // Before it runs: whoever comes after us knows whose it is.
  CO_TRY_DO(write_record(run->folder + "/run.json", run->record));
  CO_TRY_DO(co_await ask_container(engine_, run->record.container, "start"));
  CO_TRY(const pid_t process, co_await connect_container(run, engine_));
  CO_TRY_DO(listen_for_services(run, settings_.services, scope_, clock_));
  if (!egress_) co_return Result<>();
  CO_TRY(const EgressAddresses addresses, attach_egress(run->record.instance_id, process));
  co_return run->network.set_up_egress(addresses.run, addresses.machine);
}

Task<Result<std::string>> DockerDriver::make_container(const DockerRun& run, const RunSpec& spec) {
  ContainerPlan plan{.files = run.record.files,
                     .data_folder = settings_.data_folder,
                     .starter = settings_.data_folder + "/starter",
                     .door = run.record.folder + "/door",
                     .log_bytes_max = settings_.log_bytes_max,
                     .processes_max = settings_.processes_max};
  if (egress_) plan.name_servers = reachable_name_servers();
  plan.cgroup_parent = cgroup_parent_;
  EngineCall call{.method = "POST", .target = "/containers/create"};
  call.body = json::serialize(container_config(spec, plan));
  CO_TRY(const json::value made, co_await engine_.call(std::move(call)));
  const std::string id = text_of(made, "Id");
  if (id.empty()) co_return Error::internal("the engine made a container without an id");
  co_return id;
}

Result<std::optional<Listener>> DockerDriver::metadata_listener(const std::string& instance_id) {
  TRY(const RunPtr run, runs_.find_living(instance_id));
  Descriptor copy(::fcntl(run->metadata.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return system_error("cannot copy the metadata socket");
  TRY(Listener listener, Listener::adopt(scope_.executor(), copy.release()));
  return std::optional<Listener>(std::move(listener));
}

Task<Result<>> DockerDriver::start(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  if (run->record.start_time != 0 || run->starting) {
    co_return Error{ErrorCode::FailedPrecondition, fmt::format("run {} was started", instance_id)};
  }
  run->starting = true;
  Result<StartAnswer> answer = co_await run->door->serve(run->record.orders, clock_, kStartLimit);
  if (answer) {
    run->trouble =
        answer->trouble.empty()
            ? ""
            : fmt::format("cannot start {}: {}", run->record.orders.command[0], answer->trouble);
    run->record.start_time = to_unix_nanos(clock_.wall_now());
  }
  run->starting = false;
  run->changed.notify_all();
  if (!answer) co_return answer.error();
  co_return write_record(run->folder + "/run.json", run->record);
}

Task<Result<>> DockerDriver::set_limits(std::string instance_id, RunLimits limits) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  CO_TRY_DO(check_limits(limits));
  CO_TRY_DO(
      co_await ask_container(engine_, run->record.container, "update", container_limits(limits)));
  run->record.memory_bytes = limits.memory_bytes;
  run->record.disk_bytes = limits.disk_bytes;
  co_return write_record(run->folder + "/run.json", run->record);
}

Result<> DockerDriver::set_image_caching(const std::string& instance_id, bool caching) {
  TRY(const RunPtr run, runs_.find(instance_id));
  run->record.image_caching = caching;
  images_.note_use(run->record.image.value_or(""));
  return write_record(run->folder + "/run.json", run->record);
}

Task<Result<RunExit>> DockerDriver::wait(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  CO_TRY_DO(co_await wait_for_exit(run));
  co_return *run->exit;
}

Task<Result<DiskExcess>> DockerDriver::disk_excess(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  while (!run->excess && !run->exit) CO_TRY_DO(co_await run->changed.wait());
  if (!run->exit) co_return *run->excess;
  co_return Error{ErrorCode::FailedPrecondition, fmt::format("run {} has ended", instance_id)};
}

Task<Result<>> DockerDriver::stop(std::string instance_id, Duration grace) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  if (run->exit) co_return Result<>();
  CO_TRY_DO(co_await signal_container(engine_, run->record.container, "SIGTERM"));
  Result<> done = co_await within(clock_, grace, wait_for_exit(run));
  if (done || done.code() != ErrorCode::DeadlineExceeded) co_return done;
  run->killed = true;
  CO_TRY_DO(co_await signal_container(engine_, run->record.container, "SIGKILL"));
  co_return co_await within(clock_, kEndLimit, wait_for_exit(run));
}

Task<Result<>> DockerDriver::remove(std::string instance_id) {
  CO_TRY(const RunPtr run, runs_.find_ended(instance_id));
  run->log.stop();
  runs_.remove(*run);
  co_await drop_container(run->record);
  co_return Result<>();
}

Task<void> DockerDriver::drop_container(DockerRecord record) {
  if (runs_.uses_files(record.files)) co_return;
  // An engine that is away will be back; until then the container holds nothing but its disk.
  const Result<> gone = co_await delete_container(engine_, record.container);
  if (!gone && gone.code() != ErrorCode::Cancelled) scope_.spawn(delete_later(record.container));
}

Task<Result<>> DockerDriver::delete_later(std::string container) {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kDeleteAgain));
    const Result<> gone = co_await delete_container(engine_, container);
    if (gone || gone.code() == ErrorCode::Cancelled) co_return gone;
  }
}

Task<Result<ConnPtr>> DockerDriver::connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                            Duration limit) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  co_return co_await connect_loopback(
      [run](int family, Duration) -> Task<Result<Descriptor>> {
        co_return take_socket(*run, family);
      },
      port, ipv6_first, clock_, limit);
}

Task<Result<int32_t>> DockerDriver::exec(std::string instance_id, std::vector<std::string> command,
                                         Duration limit) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  if (command.empty()) co_return Error::invalid("no command");
  if (run->record.start_time == 0) {
    co_return Error{ErrorCode::FailedPrecondition,
                    fmt::format("run {} was not started", instance_id)};
  }
  json::array environment;
  for (const auto& [name, value] : run->record.orders.environment) {
    environment.emplace_back(name + "=" + value);
  }
  json::object what{{"AttachStdout", true}, {"AttachStderr", true}};
  what["Cmd"] = json::array(command.begin(), command.end());
  what["Env"] = std::move(environment);
  CO_TRY(const json::value made,
         co_await ask_container(engine_, run->record.container, "exec", what));
  const std::string path = "/exec/" + text_of(made, "Id");
  const TimePoint end = clock_.now() + limit;
  CO_TRY(const std::unique_ptr<EngineStream> output,
         co_await engine_.open({.method = "POST",
                                .target = path + "/start",
                                .body = R"({"Detach": false, "Tty": false})"}));
  const Result<> read = co_await within(clock_, end - clock_.now(), read_to_end(*output));
  CO_TRY(const json::value told, co_await engine_.call({.target = path + "/json"}));
  if (read) co_return static_cast<int32_t>(number_of(told, "ExitCode"));
  if (read.code() != ErrorCode::DeadlineExceeded) co_return read.error();
  const int64_t process = number_of(told, "Pid");
  if (process > 0) ::kill(static_cast<pid_t>(process), SIGKILL);
  co_return Error::deadline(fmt::format("the command took longer than {} ms", to_millis(limit)));
}

// Not the engine's own figures: it takes a second for those of one container.
Task<Result<std::vector<RunUsage>>> DockerDriver::usage() {
  std::vector<RunUsage> out;
  UsageReader reader;
  for (const auto& [id, run] : runs_.all()) {
    if (run->exit || run->record.start_time == 0 || run->process <= 0) continue;
    out.push_back(reader.read(id, read_usage(run->counters), run->process));
  }
  co_return out;
}

Task<Result<std::unique_ptr<ExecStream>>> DockerDriver::open_exec(std::string instance_id,
                                                                  ExecSpec spec) {
  CO_TRY(const RunPtr run, runs_.find_living(instance_id));
  CO_TRY_DO(check_exec(spec));
  if (run->record.start_time == 0) {
    co_return Error{ErrorCode::FailedPrecondition,
                    fmt::format("run {} was not started", instance_id)};
  }
  co_return co_await open_docker_exec(run, engine_, clock_, std::move(spec));
}

Task<Result<std::vector<LogChunk>>> DockerDriver::read_log(std::string instance_id,
                                                           size_t lines_max) {
  CO_TRY(const RunPtr run, runs_.find(instance_id));
  co_return co_await run->log.read(lines_max, run->exit.has_value(), clock_);
}

}  // namespace mesclun::runtime
