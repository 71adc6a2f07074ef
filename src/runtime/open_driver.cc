#include "runtime/open_driver.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/docker/docker_driver.h"
#include "runtime/process/process_driver.h"

namespace mesclun::runtime {

namespace {

std::string folder_of(const DriverSettings& settings, RuntimeKind kind) {
  return settings.data_folder + (kind == RuntimeKind::Docker ? "/docker" : "/process");
}

Task<Result<RuntimeSigns>> look_around(Clock& clock, const DriverSettings& settings) {
  const auto has_runs = [&settings](RuntimeKind kind) {
    return !list_folder(RunFiles(folder_of(settings, kind)).runs()).empty();
  };
  RuntimeSigns signs{.has_containers = has_runs(RuntimeKind::Docker),
                     .has_processes = has_runs(RuntimeKind::Process),
                     .is_root = ::geteuid() == 0};
  if (!signs.is_root) co_return signs;
  Engine engine(clock, settings.engine);
  const Result<json::value> answers = co_await ask_engine(engine, settings.engine);
  if (!answers && answers.code() == ErrorCode::Cancelled) co_return answers.error();
  if (!answers) signs.engine_problem = answers.error().message;
  co_return signs;
}

Task<Result<std::unique_ptr<ContainerDriver>>> open_docker(asio::any_io_executor executor,
                                                           Clock& clock, DriverSettings settings) {
  DockerDriverSettings docker{.data_folder = folder_of(settings, RuntimeKind::Docker),
                              .engine = std::move(settings.engine),
                              .services = std::move(settings.services),
                              .use_egress = settings.egress,
                              .disk_period = settings.disk_period,
                              .image_cache = settings.image_cache};
  CO_TRY(std::unique_ptr<DockerDriver> driver,
         co_await DockerDriver::open(std::move(executor), clock, std::move(docker)));
  co_return std::unique_ptr<ContainerDriver>(std::move(driver));
}

Task<Result<std::unique_ptr<ContainerDriver>>> open_processes(asio::any_io_executor executor,
                                                              Clock& clock,
                                                              DriverSettings settings) {
  ProcessDriverSettings process{.data_folder = folder_of(settings, RuntimeKind::Process),
                                .services = std::move(settings.services),
                                .use_egress = settings.egress};
  CO_TRY(std::unique_ptr<ProcessDriver> driver,
         co_await ProcessDriver::open(std::move(executor), clock, std::move(process)));
  co_return std::unique_ptr<ContainerDriver>(std::move(driver));
}

}  // namespace

RuntimeChoice choose_runtime(const RuntimeSigns& signs) {
  if (signs.has_containers) return {RuntimeKind::Docker, "containers of this folder are there"};
  if (signs.has_processes) {
    return {RuntimeKind::Process,
            "instances are processes, not containers: some of them still run here"};
  }
  if (!signs.is_root) {
    return {RuntimeKind::Process,
            "instances are processes, not containers: those need an agent that runs as root"};
  }
  if (!signs.engine_problem.empty()) {
    return {RuntimeKind::Process,
            "instances are processes, not containers: " + signs.engine_problem};
  }
  return {RuntimeKind::Docker, "a container engine answers"};
}

Task<Result<OpenedDriver>> open_driver(asio::any_io_executor executor, Clock& clock,
                                       DriverSettings settings) {
  RuntimeChoice choice{.kind = settings.kind, .why = {}};
  if (settings.kind == RuntimeKind::Auto) {
    CO_TRY(const RuntimeSigns signs, co_await look_around(clock, settings));
    choice = choose_runtime(signs);
  }
  OpenedDriver out{.driver = nullptr, .why = std::move(choice.why)};
  if (choice.kind == RuntimeKind::Docker) {
    CO_TRY(out.driver, co_await open_docker(std::move(executor), clock, std::move(settings)));
  } else {
    CO_TRY(out.driver, co_await open_processes(std::move(executor), clock, std::move(settings)));
  }
  co_return out;
}

}  // namespace mesclun::runtime
