#include "runtime/docker/containers.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "http/url.h"
#include "runtime/docker/answer.h"

namespace mesclun::runtime {

namespace {

// 404: there is none. 409: it is not as the call wants it, so that is over.
Result<> unless_gone(const Result<json::value>& answer) {
  if (answer || answer.code() == ErrorCode::NotFound || answer.code() == ErrorCode::AlreadyExists) {
    return {};
  }
  return answer.error();
}

}  // namespace

Task<Result<ContainerState>> inspect_container(Engine& engine, std::string container) {
  CO_TRY(const json::value answer,
         co_await engine.call({.target = "/containers/" + container + "/json"}));
  const json::value* state = member_of(answer, "State");
  if (state == nullptr || !state->is_object()) {
    co_return Error::internal("a container without state");
  }
  ContainerState out{.running = flag_of(*state, "Running"),
                     .process = static_cast<pid_t>(number_of(*state, "Pid")),
                     .exit_code = static_cast<int32_t>(number_of(*state, "ExitCode")),
                     .out_of_memory = flag_of(*state, "OOMKilled")};
  if (const json::value* layers = member_of(answer, "GraphDriver")) {
    if (const json::value* data = member_of(*layers, "Data"))
      out.layer = text_of(*data, "UpperDir");
  }
  const json::value* mounts = member_of(answer, "Mounts");
  if (mounts != nullptr && mounts->is_array()) {
    for (const json::value& mount : mounts->get_array()) {
      if (text_of(mount, "Type") == "volume") out.volumes.push_back(text_of(mount, "Source"));
    }
  }
  // One that has not ended has a time that is none of ours.
  const Result<WallTime> finished = parse_rfc3339(text_of(*state, "FinishedAt"));
  if (finished) out.finish_time = to_unix_nanos(*finished);
  co_return out;
}

Task<Result<json::value>> ask_container(Engine& engine, std::string container, std::string verb,
                                        json::value body) {
  EngineCall call{.method = "POST", .target = fmt::format("/containers/{}/{}", container, verb)};
  if (!body.is_null()) call.body = json::serialize(body);
  co_return co_await engine.call(std::move(call));
}

Task<Result<>> signal_container(Engine& engine, std::string container, std::string_view name) {
  co_return unless_gone(
      co_await ask_container(engine, std::move(container), fmt::format("kill?signal={}", name)));
}

Task<Result<>> delete_container(Engine& engine, std::string container) {
  co_return unless_gone(co_await engine.call(
      {.method = "DELETE", .target = "/containers/" + container + "?force=true&v=true"}));
}

Task<Result<std::vector<std::string>>> list_containers(Engine& engine, std::string label) {
  const json::object filters{{"label", json::array{label}}};
  CO_TRY(const json::value listed,
         co_await engine.call({.target = "/containers/json?all=1&filters=" +
                                         percent_encode(json::serialize(filters))}));
  std::vector<std::string> out;
  if (!listed.is_array()) co_return out;
  for (const json::value& item : listed.get_array()) out.push_back(text_of(item, "Id"));
  co_return out;
}

}  // namespace mesclun::runtime
