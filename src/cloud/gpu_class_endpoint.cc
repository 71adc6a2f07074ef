#include "cloud/gpu_class_endpoint.h"

#include <fmt/format.h>

namespace mesclun::cloud {

namespace {

struct NewGpuClass {
  std::string name;
  std::string price = "0";
};
BOOST_DESCRIBE_STRUCT(NewGpuClass, (), (name, price))
constexpr bool json_has_default(const NewGpuClass*, std::string_view member) {
  return member == "price";
}

// The first group that asks for the class; empty if none does.
std::string user_of(const Fleet& fleet, const std::string& class_id) {
  for (const auto& [id, group] : fleet.groups.all()) {
    const auto& wanted = group.spec.container.resources.gpu_classes;
    if (group.delete_time == 0 && std::ranges::find(wanted, class_id) != wanted.end()) {
      return group.spec.name;
    }
  }
  return "";
}

}  // namespace

Answer GpuClassEndpoint::handle(HttpRequest request, std::vector<std::string> path) {
  const std::string method = request.head.method;
  if (path.size() == 2) {
    if (method != "DELETE") co_return method_not_allowed("DELETE");
    co_return co_await remove(path[1]);
  }
  if (path.size() != 1) co_return no_such_path();
  if (method == "POST") co_return co_await add(std::move(request));
  if (method != "GET") co_return method_not_allowed("GET, POST");
  json::object out;
  out["items"] = write_json(classes_.all());
  co_return json_answer(200, std::move(out));
}

Answer GpuClassEndpoint::add(HttpRequest request) {
  CO_TRY(NewGpuClass wanted, read_body<NewGpuClass>(request));
  CO_TRY(const api::GpuClass made,
         co_await classes_.add(std::move(wanted.name), std::move(wanted.price)));
  changed_();
  co_return json_answer(201, write_json(made));
}

Answer GpuClassEndpoint::remove(std::string id_or_name) {
  CO_TRY(const api::GpuClass* found, api::find_gpu_class(classes_.all(), id_or_name));
  const std::string id = found->id;
  CO_TRY(const std::string user, co_await loop_.ask<std::string>([id](const Fleet& fleet, Moment) {
    return user_of(fleet, id);
  }));
  if (!user.empty()) {
    co_return Error{ErrorCode::FailedPrecondition,
                    fmt::format("container group '{}' asks for this GPU class", user)};
  }
  CO_TRY_DO(co_await classes_.remove(id));
  changed_();
  co_return empty_answer(204);
}

}  // namespace mesclun::cloud
