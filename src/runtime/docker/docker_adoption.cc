#include "runtime/docker/docker_adoption.h"

#include <algorithm>

#include "base/log.h"
#include "runtime/docker/container_config.h"

namespace mesclun::runtime {

namespace {

Task<Result<>> adopt(const DockerParts& parts, std::string instance_id) {
  const std::string folder = parts.runs.files().run(instance_id);
  CO_TRY(DockerRecord record, read_record<DockerRecord>(folder + "/run.json"));
  const auto run = std::make_shared<DockerRun>(parts.scope.executor(), std::move(record), folder);
  const Result<RunExit> exit = read_record<RunExit>(folder + "/exit.json");
  if (exit) {
    run->exit = *exit;
  } else {
    CO_TRY(const ContainerState state,
           co_await inspect_container(parts.engine, run->record.container));
    if (state.running) {
      CO_TRY_DO(co_await connect_container(run, parts.engine));
      const Result<> listening =
          listen_for_services(run, parts.settings.services, parts.scope, parts.clock);
      // Its application may have taken the port meanwhile: no reason to lose it.
      if (!listening) {
        log_warning("driver", "a run does not reach the machine's services any more",
                    {{"run", instance_id}, {"error", listening.error().message}});
      }
    }
    if (state.running && run->record.start_time == 0) {
      CO_TRY(run->door, StarterDoor::open(parts.scope.executor(), run->record.folder + "/door"));
    }
    parts.scope.spawn(watch_container(run, parts.engine, parts.clock));
  }
  run->ready = true;
  parts.runs.add(run);
  co_return Result<>();
}

// Of the run that goes on in its container.
std::optional<int64_t> begin_of_next(const RunTable<DockerRun>& runs, const DockerRun& run) {
  std::optional<int64_t> begin;
  for (const auto& [id, other] : runs.all()) {
    const DockerRecord& later = other->record;
    if (later.files != run.record.files || later.create_time <= run.record.create_time) continue;
    begin = std::min(begin.value_or(later.create_time), later.create_time);
  }
  return begin;
}

// Containers that we made for runs that we do not know.
Task<Result<>> remove_strangers(const DockerParts& parts) {
  CO_TRY(const std::vector<std::string> made,
         co_await list_containers(parts.engine,
                                  fmt::format("{}={}", kFolderLabel, parts.settings.data_folder)));
  for (const std::string& id : made) {
    const auto is_of = [&id](const auto& entry) { return entry.second->record.container == id; };
    if (std::ranges::any_of(parts.runs.all(), is_of)) continue;
    CO_TRY_DO(co_await delete_container(parts.engine, id));
  }
  co_return Result<>();
}

}  // namespace

Task<Result<>> adopt_containers(DockerParts parts) {
  const auto adopt_one = [&parts](const std::string& name) { return adopt(parts, name); };
  CO_TRY_DO(co_await adopt_each(parts.runs, adopt_one));
  CO_TRY_DO(co_await remove_strangers(parts));
  parts.runs.discard_files();
  for (const auto& [id, run] : parts.runs.all()) {
    parts.scope.spawn(follow_log(run, parts.engine, parts.clock, begin_of_next(parts.runs, *run)));
  }
  co_return Result<>();
}

}  // namespace mesclun::runtime
