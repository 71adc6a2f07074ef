#include "runtime/process/run_launch.h"

#include <unistd.h>

#include "runtime/process/run_listeners.h"
#include "runtime/shim/shim.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

namespace {

Result<RunRecord> make_record(const RunParts& parts, const RunSpec& spec) {
  TRY_DO(check_run(spec));
  if (spec.command.empty() || spec.command[0].empty()) return Error::invalid("no command");
  RunRecord record{.instance_id = spec.instance_id,
                   .image = spec.image,
                   .command = spec.command,
                   .environment = spec.environment,
                   .port = spec.port,
                   .files = spec.instance_id,
                   .isolation = parts.walls.isolation,
                   .log_bytes_max = static_cast<int64_t>(parts.settings.log_bytes_max),
                   .memory_bytes = spec.memory_bytes,
                   .shm_bytes = spec.shm_bytes,
                   .label = spec.label};
  if (!spec.files_of.empty()) {
    TRY(const RunPtr earlier, parts.runs.take_over(spec.files_of));
    record.files = earlier->record.files;
  }
  for (const Endpoint& service : parts.settings.services) {
    // The application's own port stays free for it.
    if (service.port != spec.port) record.service_ports.push_back(service.port);
  }
  record.folder = parts.runs.files().folder(record.files);
  record.environment.try_emplace("PATH", parts.settings.path);
  record.environment.try_emplace("HOME", record.folder);
  return record;
}

// All that lies on disk before there is a process.
Result<> make_surroundings(const MachineWalls& walls, const RunSpec& spec, Run& run) {
  TRY_DO(make_private_folder(run.folder));
  TRY_DO(make_private_folder(run.record.folder));
  const std::string target = fmt::format("../../files/{}", run.record.files);
  if (::symlink(target.c_str(), (run.folder + "/files").c_str()) != 0) {
    return system_error("cannot link the working folder");
  }
  const CgroupLimits limits{.cpu_cores = spec.cpu_cores, .memory_bytes = spec.memory_bytes};
  TRY(run.record.cgroups, walls.cgroups.create(spec.instance_id, limits));
  return write_record(run.folder + "/run.json", run.record);
}

Result<> understand(const Result<std::string>& answer, const std::string& complaints) {
  TRY(const std::string text, answer);
  const Result<ShimReady> ready = from_json_text<ShimReady>(text);
  if (!ready) {
    const std::string said = read_file(complaints).value_or("");
    return Error::unavailable(fmt::format("the shim did not start: {:.500}", said));
  }
  if (!ready->error.empty()) return Error::unavailable(ready->error);
  return {};
}

Task<Result<>> give_egress(RunPtr run, Clock& clock) {
  CO_TRY(const EgressAddresses addresses,
         attach_egress(run->record.instance_id, run->shim.shim.pid));
  ShimRequest request{
      .verb = ShimVerb::Egress, .address = addresses.run, .gateway = addresses.machine};
  CO_TRY_DO(co_await ask_shim(run->folder, std::move(request), clock, kShimLimit));
  co_return Result<>();
}

// What the agent holds of a shim that says it is ready.
Task<Result<>> hold(RunParts parts, RunPtr run) {
  CO_TRY(run->shim, read_record<ShimRecord>(run->folder + "/shim.json"));
  CO_TRY(run->process, open_process(run->shim.shim));
  CO_TRY(run->keeper, open_process(*run->shim.keeper));
  if (parts.walls.egress) CO_TRY_DO(co_await give_egress(run, parts.clock));
  co_return co_await take_listeners(run, parts.settings.services, parts.scope, parts.clock);
}

Task<Result<>> start_shim(RunParts parts, RunPtr run) {
  const std::string complaints = run->folder + "/shim.err";
  CO_TRY(ShimProcess shim,
         spawn_shim(parts.settings.shim_program, {"run", run->folder}, complaints));
  const Result<std::string> answer =
      co_await read_answer(std::move(shim.answer), parts.clock, kShimLimit);
  Result<> done = understand(answer, complaints);
  if (done) done = co_await hold(parts, run);
  if (!done) kill_shim(shim.pid);
  co_return done;
}

}  // namespace

Task<Result<>> launch_run(RunParts parts, RunSpec spec) {
  CO_TRY_DO(parts.runs.check_free(spec.instance_id));
  CO_TRY(RunRecord record, make_record(parts, spec));
  const std::string folder = parts.runs.files().run(spec.instance_id);
  const auto run = std::make_shared<Run>(parts.scope.executor(), std::move(record), folder);
  // From here on nobody else can take its name or its folder.
  parts.runs.add(run);
  Result<> done = make_surroundings(parts.walls, spec, *run);
  if (done) done = co_await start_shim(parts, run);
  if (done) {
    run->ready = true;
    parts.scope.spawn(watch_run(run, parts.clock));
    co_return Result<>();
  }
  remove_cgroups(run->record.cgroups);
  parts.runs.remove(*run);
  co_return done;
}

}  // namespace mesclun::runtime
