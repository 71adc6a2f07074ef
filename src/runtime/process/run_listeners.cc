#include "runtime/process/run_listeners.h"

#include <algorithm>

#include "runtime/service_forward.h"

namespace mesclun::runtime {

Task<Result<>> take_listeners(std::shared_ptr<Run> run, const std::vector<Endpoint>& services,
                              Scope& scope, Clock& clock) {
  ShimRequest request{.verb = ShimVerb::Metadata};
  CO_TRY(ShimAnswer answer, co_await ask_shim(run->folder, std::move(request), clock, kShimLimit));
  if (!answer.descriptors.empty()) run->metadata = std::move(answer.descriptors[0]);
  ShimRequest for_services{.verb = ShimVerb::Services};
  CO_TRY(answer, co_await ask_shim(run->folder, std::move(for_services), clock, kShimLimit));
  for (size_t i = 0; i < answer.descriptors.size(); ++i) {
    // An agent with other settings may have made the run.
    const int32_t port = run->record.service_ports[i];
    const auto service = std::ranges::find(services, port, &Endpoint::port);
    if (service == services.end()) continue;
    CO_TRY(Listener listener, Listener::adopt(scope.executor(), answer.descriptors[i].release()));
    run->services.push_back(std::make_shared<Listener>(std::move(listener)));
    scope.spawn(forward_service(run->services.back(), *service, clock));
  }
  co_return Result<>();
}

}  // namespace mesclun::runtime
