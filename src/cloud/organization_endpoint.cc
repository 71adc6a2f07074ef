// Quotas and GPU classes (api.md §9 and §10).
#include "api/gpu_class.h"
#include "cloud/public_api.h"

namespace mesclun::cloud {

PublicApi::Answer PublicApi::quotas(HttpRequest request, Target target) {
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  const Organization organization = *accounts_.organization(target.organization_id);
  CO_TRY(const int32_t used, co_await ask<int32_t>([id = organization.id](Fleet& fleet, Moment) {
           return Result<int32_t>(fleet.replicas_used(id));
         }));
  api::Quotas quotas{.container_groups_quotas = organization.quotas};
  quotas.container_groups_quotas.container_replicas_used = used;
  quotas.create_time = format_rfc3339(from_unix_nanos(organization.create_time));
  quotas.update_time = format_rfc3339(from_unix_nanos(organization.update_time));
  co_return json_answer(200, write_json(quotas));
}

PublicApi::Answer PublicApi::gpu_classes(HttpRequest request) {
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  json::object out;
  out["items"] = write_json(api::known_gpu_classes());
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
