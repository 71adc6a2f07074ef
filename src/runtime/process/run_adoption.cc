#include "runtime/process/run_adoption.h"

#include "runtime/process/run_listeners.h"

namespace mesclun::runtime {

namespace {

Task<Result<>> adopt(RunParts parts, std::string instance_id) {
  const std::string folder = parts.runs.files().run(instance_id);
  CO_TRY(RunRecord record, read_record<RunRecord>(folder + "/run.json"));
  const auto run = std::make_shared<Run>(parts.scope.executor(), std::move(record), folder);
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
    const Result<> attached =
        co_await take_listeners(run, parts.settings.services, parts.scope, parts.clock);
    if (!attached && attached.code() == ErrorCode::Cancelled) co_return attached;
    parts.scope.spawn(watch_run(run, parts.clock));
  } else {
    CO_TRY_DO(co_await settle_run(run, parts.clock));
  }
  run->ready = true;
  parts.runs.add(run);
  co_return Result<>();
}

}  // namespace

Task<Result<>> adopt_runs(RunParts parts) {
  const auto adopt_one = [&parts](const std::string& name) { return adopt(parts, name); };
  // Its shim ends when it finds its folder gone.
  const auto forget = [&parts](const std::string& name) {
    remove_cgroups(parts.walls.cgroups.paths_of(name));
  };
  CO_TRY_DO(co_await adopt_each(parts.runs, adopt_one, forget));
  parts.runs.discard_files();
  co_return Result<>();
}

}  // namespace mesclun::runtime
