#include "runtime/open_driver.h"

#include "runtime/process/process_driver.h"

namespace mesclun::runtime {

Task<Result<std::unique_ptr<ContainerDriver>>> open_driver(asio::any_io_executor executor,
                                                           Clock& clock, DriverSettings settings) {
  switch (settings.kind) {
    case RuntimeKind::Auto:  // there is no other yet
    case RuntimeKind::Process: {
      ProcessDriverSettings process{.data_folder = settings.data_folder + "/process",
                                    .services = std::move(settings.services),
                                    .use_egress = settings.egress};
      co_return co_await ProcessDriver::open(std::move(executor), clock, std::move(process));
    }
  }
  co_return Error::invalid("no such runtime");
}

}  // namespace mesclun::runtime
