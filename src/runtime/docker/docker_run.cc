#include "runtime/docker/docker_run.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/service_forward.h"

namespace mesclun::runtime {

namespace {

constexpr Duration kRetry = 500ms;
constexpr size_t kSocketsAtOnce = 8;
constexpr int64_t kMiB = 1024 * 1024;

void keep_exit(DockerRun& run, RunExit exit) {
  if (const Result<> kept = write_record(run.folder + "/exit.json", exit); !kept) {
    log_warning("driver", "cannot keep how a run ended",
                {{"run", run.record.instance_id}, {"error", kept.error().message}});
  }
  run.door.reset();
  run.metadata.reset();
  run.network = {};
  for (const auto& service : run.services) service->close();
  run.services.clear();
  run.process = 0;
  run.sockets_v4.clear();
  run.sockets_v6.clear();
  run.exit = std::move(exit);
  run.changed.notify_all();
}

}  // namespace

RunExit exit_of(const DockerRun& run, const ContainerState& state) {
  if (!run.trouble.empty()) {
    return {.code = -1, .start_failure = true, .detail = run.trouble, .time = state.finish_time};
  }
  RunExit exit{.code = state.exit_code, .time = state.finish_time};
  if (state.out_of_memory) {
    exit.detail =
        fmt::format("out of memory: it used more than its {} MiB", run.record.memory_bytes / kMiB);
  } else if (run.killed) {
    exit.detail = "killed: it did not end within its grace";
  }
  return exit;
}

Task<Result<pid_t>> connect_container(std::shared_ptr<DockerRun> run, Engine& engine) {
  CO_TRY(const ContainerState state, co_await inspect_container(engine, run->record.container));
  if (!state.running || state.process <= 0) {
    co_return Error::unavailable(
        fmt::format("the container ended at once, with {}", state.exit_code));
  }
  CO_TRY(run->network, ContainerNetwork::of(state.process));
  CO_TRY_DO(run->network.set_up_loopback());
  CO_TRY(run->metadata, run->network.listen_metadata());
  run->process = state.process;
  run->counters = counters_of(state.process);
  run->disk = disk_of(run->record.container, state);
  co_return state.process;
}

Result<> listen_for_services(std::shared_ptr<DockerRun> run, const std::vector<Endpoint>& services,
                             Scope& scope, Clock& clock) {
  for (const Endpoint& service : services) {
    if (service.port == run->record.port) continue;
    TRY(Descriptor socket, run->network.listen_loopback(service.port));
    TRY(Listener listener, Listener::adopt(scope.executor(), socket.release()));
    run->services.push_back(std::make_shared<Listener>(std::move(listener)));
    scope.spawn(forward_service(run->services.back(), service, clock));
  }
  return {};
}

Task<Result<>> follow_log(std::shared_ptr<DockerRun> run, Engine& engine, Clock& clock,
                          std::optional<int64_t> until) {
  co_return co_await run->log.follow(engine, clock, run->record.container, until);
}

Task<Result<>> watch_container(std::shared_ptr<DockerRun> run, Engine& engine, Clock& clock) {
  while (true) {
    const Result<json::value> ended = co_await engine.long_call(
        {.method = "POST",
         .target = "/containers/" + run->record.container + "/wait?condition=not-running"});
    if (!ended && ended.code() == ErrorCode::Cancelled) co_return ended.error();
    const Result<ContainerState> state = co_await inspect_container(engine, run->record.container);
    if (!state && state.code() == ErrorCode::Cancelled) co_return state.error();
    if (!state && state.code() == ErrorCode::NotFound) {
      keep_exit(*run, {.code = 137,
                       .detail = "its container was removed",
                       .time = to_unix_nanos(clock.wall_now())});
      co_return Result<>();
    }
    if (state && !state->running) {
      // Who starts it is about to say what was wrong.
      while (run->starting) CO_TRY_DO(co_await run->changed.wait());
      keep_exit(*run, exit_of(*run, *state));
      co_return Result<>();
    }
    // The engine is away, or has just come back.
    CO_TRY_DO(co_await clock.sleep_for(kRetry));
  }
}

std::optional<int64_t> disk_bytes_max(const DockerRecord& record) {
  if (!record.disk_bytes || *record.disk_bytes > 0) return record.disk_bytes;
  return default_disk_bytes(record.image_bytes.value_or(0));
}

Result<Descriptor> take_socket(DockerRun& run, int family) {
  std::vector<Descriptor>& stock = family == AF_INET6 ? run.sockets_v6 : run.sockets_v4;
  if (stock.empty()) {
    TRY(stock, run.network.sockets(family, kSocketsAtOnce));
  }
  Descriptor socket = std::move(stock.back());
  stock.pop_back();
  return socket;
}

}  // namespace mesclun::runtime
