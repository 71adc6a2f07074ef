#include "runtime/open_driver.h"

#include "runtime/docker/docker_driver.h"
#include "runtime/process/process_driver.h"

namespace mesclun::runtime {

Task<Result<std::unique_ptr<ContainerDriver>>> open_driver(asio::any_io_executor executor,
                                                           Clock& clock, DriverSettings settings) {
  switch (settings.kind) {
    case RuntimeKind::Auto:  // Docker is by request until all of it is there
    case RuntimeKind::Process: {
      ProcessDriverSettings process{.data_folder = settings.data_folder + "/process",
                                    .services = std::move(settings.services),
                                    .use_egress = settings.egress};
      co_return co_await ProcessDriver::open(std::move(executor), clock, std::move(process));
    }
    case RuntimeKind::Docker: {
      if (!settings.services.empty()) {
        co_return Error::invalid("--service is for the process runtime");
      }
      DockerDriverSettings docker{.data_folder = settings.data_folder + "/docker",
                                  .engine = std::move(settings.engine),
                                  .use_egress = settings.egress};
      co_return co_await DockerDriver::open(std::move(executor), clock, std::move(docker));
    }
  }
  co_return Error::invalid("no such runtime");
}

}  // namespace mesclun::runtime
