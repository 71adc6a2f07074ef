#include "cloud/organization_endpoint.h"

#include "api/gpu_class.h"

namespace mesclun::cloud {

Answer OrganizationEndpoint::handle(HttpRequest request, ApiTarget target) {
  const bool quotas_asked = target.rest.size() == 1 && target.rest[0] == "quotas";
  const bool classes_asked = target.rest.size() == 1 && target.rest[0] == "gpu-classes";
  if (!quotas_asked && !classes_asked) co_return no_such_path();
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  if (quotas_asked) co_return co_await quotas(target.organization_id);
  json::object out;
  out["items"] = write_json(api::known_gpu_classes());
  co_return json_answer(200, std::move(out));
}

Answer OrganizationEndpoint::quotas(std::string organization_id) {
  const Organization organization = *accounts_.organization(organization_id);
  CO_TRY(const int32_t used,
         co_await loop_.ask<int32_t>([organization_id](const Fleet& fleet, Moment) {
           return fleet.groups.replicas_of(organization_id);
         }));
  api::Quotas quotas{.container_groups_quotas = organization.quotas};
  quotas.container_groups_quotas.container_replicas_used = used;
  quotas.create_time = format_rfc3339(from_unix_nanos(organization.create_time));
  quotas.update_time = format_rfc3339(from_unix_nanos(organization.update_time));
  co_return json_answer(200, write_json(quotas));
}

}  // namespace mesclun::cloud
