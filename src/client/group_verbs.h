// What `mesclun group …` does, apart from reading the command line.
#pragma once

#include "client/command.h"

namespace mesclun::client {

struct WaitOptions {
  bool wait = false;
  Duration timeout = 10min;
};

struct GroupCreateOptions {
  std::string file;
  WaitOptions wait;
};

struct GroupUpdateOptions {
  std::string name;
  std::string file;               // empty: none
  std::vector<std::string> sets;  // PATH=VALUE
  std::optional<int64_t> replicas;
  WaitOptions wait;
};

enum class GroupAction { Start, Stop, Delete };

Task<Result<>> create_group(Session& session, GroupCreateOptions options);
Task<Result<>> list_groups(Session& session);
Task<Result<>> get_group(Session& session, std::string name);
Task<Result<>> update_group(Session& session, GroupUpdateOptions options);
Task<Result<>> act_on_group(Session& session, std::string name, GroupAction action,
                            WaitOptions wait);

// The merge patch that the options stand for: the file, then --set, then --replicas.
Result<json::value> build_patch(const json::value& from_file, const GroupUpdateOptions& options);

// "http://echo.localhost:8801"; empty without a gateway.
std::string group_address(const GroupView& group, const Context& context);

// A "not found" about a group, with the groups of the project that have a similar name.
Task<Error> suggest_groups(Session& session, Error error, std::string name);

}  // namespace mesclun::client
