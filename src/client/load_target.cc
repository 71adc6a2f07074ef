#include "client/load_target.h"

#include <fmt/format.h>

#include "client/group_verbs.h"

namespace mesclun::client {

bool names_group(std::string_view target) {
  const std::string_view name = target.substr(0, target.find_first_of("/?"));
  return !name.empty() && name != "localhost" && name.find_first_of(".:[") == name.npos;
}

Task<Result<LoadTarget>> find_target(Session& session, std::string target) {
  const size_t end = std::min(target.find_first_of("/?"), target.size());
  const std::string name = target.substr(0, end);
  std::string path = target.substr(end);
  if (!path.starts_with('/')) path.insert(0, "/");
  const Result<Answer<GroupView>> group = co_await session.api.get_group(name);
  if (!group) co_return co_await suggest_groups(session, group.error(), name);
  const auto& networking = group->value.networking;
  if (!networking || networking->dns.empty()) {
    co_return Error{ErrorCode::FailedPrecondition,
                    fmt::format("group '{}' has no networking: nobody can call it", name)};
  }
  const Context& context = session.context;
  LoadTarget found{.url = "http://" + context.gateway.text + path, .host = networking->dns};
  if (networking->auth) found.api_key = context.api_key.text;
  co_return found;
}

}  // namespace mesclun::client
