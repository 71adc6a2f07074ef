// Opening a driver: what the machine allows, what runs already; and making a new run.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/log.h"
#include "runtime/process/process_driver.h"

namespace mesclun::runtime {

namespace fs = std::filesystem;

namespace {

// A fresh process of our own binary answers within milliseconds, on a crowded machine later.
constexpr Duration kShimLimit = 30s;

Result<> make_private_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error("cannot create " + path);
}

}  // namespace

ProcessDriver::ProcessDriver(asio::any_io_executor executor, Clock& clock,
                             ProcessDriverSettings settings)
    : clock_(clock),
      settings_(std::move(settings)),
      files_(settings_.data_folder),
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
  if (settings_.services.size() > 8) co_return Error::invalid("more than 8 services");
  CO_TRY(lock_, FolderLock::take(files_.data(), "agent"));
  for (const std::string& folder : {files_.runs(), files_.folders(), files_.trash()}) {
    CO_TRY_DO(make_private_folder(folder));
  }
  trash_.emplace(files_.trash());
  CO_TRY_DO(co_await try_machine());
  CO_TRY_DO(co_await adopt_all());
  co_return Result<>();
}

Task<Result<>> ProcessDriver::try_machine() {
  std::string problem;
  std::vector<std::string> groups;
  std::string cpu;
  std::string memory;
  if (settings_.use_cgroups) {
    cgroups_ = Cgroups::of_this_machine();
    const std::string name = fmt::format("probe-{}", ::getpid());
    Result<std::string> made = Error::unavailable("no control groups");
    if (cgroups_.limits_cpu()) made = cgroups_.create_cpu(name, 1);
    if (made) groups.push_back(cpu = *made);
    if (!made) problem = made.error().message;
    if (cgroups_.limits_memory()) made = cgroups_.create_memory(name, 64 * 1024 * 1024);
    if (made) groups.push_back(memory = *made);
    if (!made) problem = made.error().message;
  }
  std::vector<std::string> arguments{"probe"};
  arguments.insert(arguments.end(), groups.begin(), groups.end());
  ShimProbe probe;
  Result<ShimProcess> shim =
      spawn_shim(settings_.shim_program, std::move(arguments), files_.data() + "/shim.err");
  Result<std::string> text = Error::internal("");
  if (shim) {
    text = co_await read_answer(std::move(shim->answer), clock_, kShimLimit);
    kill_shim(shim->pid);
  }
  for (int i = 0; i < 50 && !remove_cgroups(groups); ++i) {
    CO_TRY_DO(co_await clock_.sleep_for(10ms));
  }
  if (!shim) co_return shim.error();
  if (!text) co_return text.error();
  CO_TRY(probe, from_json_text<ShimProbe>(*text));

  const auto joined = [&probe](const std::string& group) {
    return !group.empty() && std::ranges::find(probe.cgroups, group) != probe.cgroups.end();
  };
  if (!joined(cpu)) cgroups_.give_up_cpu();
  if (!joined(memory)) cgroups_.give_up_memory();
  if (probe.cgroup_problem.empty()) probe.cgroup_problem = problem;
  isolation_ = settings_.use_namespaces ? probe.isolation : Isolation{};
  Result<> egress = Error::unavailable("switched off");
  if (isolation_.network && settings_.use_egress) {
    egress = isolation_.user ? Error::unavailable("needs root") : prepare_egress();
  }
  egress_ = egress.has_value();
  describe(probe, egress ? "" : egress.error().message);
  co_return Result<>();
}

void ProcessDriver::describe(const ShimProbe& probe, const std::string& no_egress) {
  facts_.runtime = "process";
  facts_.own_network = isolation_.network;
  facts_.limits_cpu = cgroups_.limits_cpu();
  facts_.limits_memory = cgroups_.limits_memory();
  const std::string why_not =
      settings_.use_namespaces ? probe.isolation_problem : std::string("switched off");
  if (!isolation_.network) {
    facts_.warnings.push_back(
        fmt::format("applications share the machine's network ({}): two that listen on the same "
                    "port collide, and "
                    "the metadata service is not at {} but where SALAD_METADATA_URI says",
                    why_not, "169.254.169.254"));
  } else if (!egress_) {
    facts_.warnings.push_back(fmt::format(
        "applications do not reach other machines ({}): downloads and outside services fail",
        no_egress));
  }
  const std::string no_limits = settings_.use_cgroups ? probe.cgroup_problem : "switched off";
  if (!facts_.limits_cpu) {
    facts_.warnings.push_back(fmt::format(
        "CPU is not limited ({}): an application can take the whole machine", no_limits));
  }
  if (!facts_.limits_memory) {
    facts_.warnings.push_back(fmt::format(
        "memory is not limited ({}): an application can take the whole machine", no_limits));
  }
}

Task<Result<>> ProcessDriver::adopt_all() {
  for (const std::string& name : list_folder(files_.runs())) {
    const Result<> adopted = co_await adopt(name);
    if (adopted) continue;
    if (adopted.code() == ErrorCode::Cancelled) co_return adopted;
    // A create() that was interrupted; its shim ends when it finds its folder gone.
    log_warning("driver", "forgets a run that was not complete",
                {{"run", name}, {"why", adopted.error().message}});
    remove_cgroups(cgroups_.paths_of(name));
    trash_->move_in(files_.run(name));
  }
  for (const std::string& name : list_folder(files_.folders())) {
    if (!uses_folder(name, nullptr)) trash_->move_in(files_.folder(name));
  }
  co_return Result<>();
}

Task<Result<>> ProcessDriver::adopt(std::string instance_id) {
  const std::string folder = files_.run(instance_id);
  CO_TRY(RunRecord record, read_record<RunRecord>(folder + "/run.json"));
  const auto run = std::make_shared<Run>(scope_.executor(), std::move(record), folder);
  CO_TRY(run->shim, read_record<ShimRecord>(folder + "/shim.json"));
  run->start_time = run->shim.start_time;
  Result<Descriptor> process = open_process(run->shim.shim);
  // Also of a shim that has ended: it may be about to kill what that one left.
  if (run->shim.keeper) {
    if (Result<Descriptor> keeper = open_process(*run->shim.keeper)) {
      run->keeper = *std::move(keeper);
    }
  }
  if (process) {
    run->process = *std::move(process);
    const Result<> attached = co_await attach(run);
    if (!attached && attached.code() == ErrorCode::Cancelled) co_return attached;
    scope_.spawn(watch_run(run, clock_));
  } else {
    CO_TRY_DO(co_await settle_run(run, clock_));
  }
  run->ready = true;
  runs_.emplace(std::move(instance_id), run);
  co_return Result<>();
}

Task<Result<>> ProcessDriver::create(RunSpec spec) {
  if (runs_.contains(spec.instance_id)) {
    co_return Error{ErrorCode::AlreadyExists, fmt::format("run {} exists", spec.instance_id)};
  }
  CO_TRY(RunRecord record, make_record(spec));
  const std::string folder = files_.run(spec.instance_id);
  const auto run = std::make_shared<Run>(scope_.executor(), std::move(record), folder);
  // From here on nobody else can take its name or its folder.
  runs_.emplace(spec.instance_id, run);
  Result<> done = make_folders(*run);
  if (done) {
    const CgroupLimits limits{.cpu_cores = spec.cpu_cores, .memory_bytes = spec.memory_bytes};
    Result<std::vector<std::string>> groups = cgroups_.create(spec.instance_id, limits);
    if (groups) run->record.cgroups = *std::move(groups);
    if (!groups) done = groups.error();
  }
  if (done) done = write_record(folder + "/run.json", run->record);
  if (done) done = co_await launch(run);
  if (done) {
    run->ready = true;
    scope_.spawn(watch_run(run, clock_));
    co_return Result<>();
  }
  runs_.erase(spec.instance_id);
  remove_cgroups(run->record.cgroups);
  discard(*run);
  co_return done;
}

Result<RunRecord> ProcessDriver::make_record(const RunSpec& spec) const {
  if (!is_safe_name(spec.instance_id)) return Error::invalid("not a usable instance id");
  if (spec.command.empty() || spec.command[0].empty()) return Error::invalid("no command");
  if (!(spec.cpu_cores > 0) || spec.memory_bytes < 0) return Error::invalid("impossible limits");
  RunRecord record{.instance_id = spec.instance_id,
                   .image = spec.image,
                   .command = spec.command,
                   .environment = spec.environment,
                   .port = spec.port,
                   .files = spec.instance_id,
                   .isolation = isolation_,
                   .log_bytes_max = static_cast<int64_t>(settings_.log_bytes_max),
                   .memory_bytes = spec.memory_bytes,
                   .shm_bytes = spec.shm_bytes,
                   .label = spec.label};
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find('=') != std::string::npos ||
        (name + value).find('\0') != std::string::npos) {
      return Error::invalid(fmt::format("'{:.100}' cannot be an environment variable", name));
    }
  }
  if (!spec.files_of.empty()) {
    TRY(const RunPtr earlier, find(spec.files_of));
    record.files = earlier->record.files;
    for (const auto& [id, run] : runs_) {
      if (run->record.files == record.files && !run->exit) {
        return Error{ErrorCode::FailedPrecondition,
                     fmt::format("run {} still uses the files of {}", id, spec.files_of)};
      }
    }
  }
  for (const Endpoint& service : settings_.services) record.service_ports.push_back(service.port);
  record.folder = files_.folder(record.files);
  record.environment.try_emplace("PATH", settings_.path);
  record.environment.try_emplace("HOME", record.folder);
  return record;
}

Result<> ProcessDriver::make_folders(Run& run) {
  TRY_DO(make_private_folder(run.folder));
  TRY_DO(make_private_folder(run.record.folder));
  const std::string target = fmt::format("../../files/{}", run.record.files);
  if (::symlink(target.c_str(), (run.folder + "/files").c_str()) != 0) {
    return system_error("cannot link the working folder");
  }
  return {};
}

Task<Result<>> ProcessDriver::launch(RunPtr run) {
  const std::string complaints = run->folder + "/shim.err";
  CO_TRY(ShimProcess shim, spawn_shim(settings_.shim_program, {"run", run->folder}, complaints));
  const pid_t pid = shim.pid;
  Result<> done;
  const Result<std::string> text = co_await read_answer(std::move(shim.answer), clock_, kShimLimit);
  if (!text) {
    done = text.error();
  } else if (const Result<ShimReady> ready = from_json_text<ShimReady>(*text); !ready) {
    const std::string said = read_file(complaints).value_or("");
    done = Error::unavailable(fmt::format("the supervisor did not start: {:.500}", said));
  } else if (!ready->error.empty()) {
    done = Error::unavailable(ready->error);
  }
  if (done) {
    Result<ShimRecord> record = read_record<ShimRecord>(run->folder + "/shim.json");
    if (record) run->shim = *std::move(record);
    if (!record) done = record.error();
  }
  if (done) {
    Result<Descriptor> process = open_process(run->shim.shim);
    if (process) run->process = *std::move(process);
    if (!process) done = process.error();
  }
  if (done) {
    Result<Descriptor> keeper = open_process(*run->shim.keeper);
    if (keeper) run->keeper = *std::move(keeper);
    if (!keeper) done = keeper.error();
  }
  if (done && egress_) done = co_await give_egress(run);
  if (done) done = co_await attach(run);
  if (!done) kill_shim(pid);
  co_return done;
}

Task<Result<>> ProcessDriver::give_egress(RunPtr run) {
  CO_TRY(const EgressAddresses addresses,
         attach_egress(run->record.instance_id, run->shim.shim.pid));
  ShimRequest request{
      .verb = ShimVerb::Egress, .address = addresses.run, .gateway = addresses.machine};
  CO_TRY_DO(co_await ask_shim(run->folder, std::move(request), clock_, kShimLimit));
  co_return Result<>();
}

// What the agent holds of a living shim.
Task<Result<>> ProcessDriver::attach(RunPtr run) {
  ShimRequest request{.verb = ShimVerb::Metadata};
  CO_TRY(ShimAnswer answer, co_await ask_shim(run->folder, std::move(request), clock_, kShimLimit));
  if (!answer.descriptors.empty()) run->metadata = std::move(answer.descriptors[0]);
  ShimRequest for_services{.verb = ShimVerb::Services};
  CO_TRY(answer, co_await ask_shim(run->folder, std::move(for_services), clock_, kShimLimit));
  for (size_t i = 0; i < answer.descriptors.size(); ++i) {
    // An agent with other settings may have made the run.
    const int32_t port = run->record.service_ports[i];
    const auto service = std::ranges::find(settings_.services, port, &Endpoint::port);
    if (service == settings_.services.end()) continue;
    CO_TRY(Listener listener, Listener::adopt(scope_.executor(), answer.descriptors[i].release()));
    run->services.push_back(std::make_shared<Listener>(std::move(listener)));
    scope_.spawn(forward_service(run->services.back(), *service, clock_));
  }
  co_return Result<>();
}

bool ProcessDriver::uses_folder(std::string_view name, const Run* except) const {
  return std::ranges::any_of(runs_, [&](const auto& entry) {
    return entry.second.get() != except && entry.second->record.files == name;
  });
}

void ProcessDriver::discard(const Run& run) {
  if (!uses_folder(run.record.files, &run)) trash_->move_in(run.record.folder);
  trash_->move_in(run.folder);
}

}  // namespace mesclun::runtime
