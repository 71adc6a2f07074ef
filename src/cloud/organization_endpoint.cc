#include "cloud/organization_endpoint.h"

#include "api/availability.h"
#include "cloud/http_answer.h"
#include "cloud/placement_outlook.h"

namespace mesclun::cloud {

Answer OrganizationEndpoint::handle(HttpRequest request, ApiTarget target) {
  if (target.rest.size() == 2 && target.rest[0] == "availability") {
    co_return co_await availability(std::move(request), target.rest[1]);
  }
  const bool quotas_asked = target.rest.size() == 1 && target.rest[0] == "quotas";
  const bool classes_asked = target.rest.size() == 1 && target.rest[0] == "gpu-classes";
  if (!quotas_asked && !classes_asked) co_return no_such_path();
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  const bool strict_go = api::is_strict_go_client(user_agent_of(request));
  if (quotas_asked) co_return co_await quotas(target.organization_id, strict_go);
  json::array items;
  for (const api::GpuClass& gpu : gpu_classes_.all()) {
    json::object& item = items.emplace_back(write_json(gpu)).get_object();
    if (strict_go) api::drop_gpu_class_members_unknown_to_go(item);
  }
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

// Nobody is put off a machine for somebody else, nor can machines that are away be called: so every
// tier finds the same machines, and none are on call.
Answer OrganizationEndpoint::availability(HttpRequest request, std::string kind) {
  const bool of_gpus = kind == "sce-gpu-availability";
  if (!of_gpus && kind != "sce-cpu-availability") co_return no_such_path();
  if (request.head.method != "POST") co_return method_not_allowed("POST");
  CO_TRY(const json::value document, read_document(request));
  CO_TRY(const api::AvailabilityQuery query,
         api::read_availability_query(document, of_gpus, gpu_classes_.all()));
  CO_TRY(const int32_t count, co_await loop_.ask<int32_t>([query](const Fleet& fleet, Moment) {
    return count_available(fleet, query);
  }));
  if (!of_gpus) {
    co_return json_answer(200, write_json(api::CpuAvailability{.available_cpu_batch = count}));
  }
  const api::GpuAvailability found{.available_gpu_high = count,
                                   .available_gpu_medium = count,
                                   .available_gpu_low = count,
                                   .available_gpu_batch = count};
  co_return json_answer(200, write_json(found));
}

Answer OrganizationEndpoint::quotas(std::string organization_id, bool strict_go) {
  const Organization organization = *accounts_.organization(organization_id);
  CO_TRY(const int32_t used,
         co_await loop_.ask<int32_t>([organization_id](const Fleet& fleet, Moment) {
           return fleet.groups.replicas_of(organization_id);
         }));
  api::Quotas quotas{.container_groups_quotas = organization.quotas};
  quotas.container_groups_quotas.container_replicas_used = used;
  quotas.create_time = format_rfc3339(from_unix_nanos(organization.create_time));
  quotas.update_time = format_rfc3339(from_unix_nanos(organization.update_time));
  json::value document = write_json(quotas);
  if (!strict_go) api::add_older_quota_members(document.get_object());
  co_return json_answer(200, std::move(document));
}

}  // namespace mesclun::cloud
