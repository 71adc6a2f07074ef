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
  std::string name;  // in place of the file's; empty: the file's
  WaitOptions wait;
};

struct GroupUpdateOptions {
  std::string name;
  std::string file;               // empty: none
  std::vector<std::string> sets;  // PATH=VALUE
  std::optional<int64_t> replicas;
  std::string at_once;  // instances that go over at once; "default": the cloud's; empty: no change
  WaitOptions wait;
};

enum class GroupAction { Start, Stop, Delete };

Task<Result<>> create_group(Session& session, GroupCreateOptions options);
Task<Result<>> create_group(Session& session, json::value prototype, WaitOptions wait);
Task<Result<>> list_groups(Session& session);
Task<Result<>> get_group(Session& session, std::string name);
Task<Result<>> update_group(Session& session, GroupUpdateOptions options);
Task<Result<>> act_on_group(Session& session, std::string name, GroupAction action,
                            WaitOptions wait);

// Restarts the running instances one after the other, each once the group serves again; or all at
// once.
Task<Result<>> restart_group(Session& session, std::string name, bool at_once, Duration timeout);

// The versions that it had, and back to one of them, by default the one before.
Task<Result<>> group_history(Session& session, std::string name);
Task<Result<>> roll_back_group(Session& session, std::string name, std::optional<int64_t> version,
                               WaitOptions wait);

// Nodes that the group is kept away from; with `clear` they are not any more, `machine` alone or all.
Task<Result<>> group_exclusions(Session& session, std::string name, bool clear,
                                std::string machine);

// What `group get -o json` prints, as a prototype of the same group: nothing of it is lost but what
// the API never tells, the registry's credentials. Anything else is returned as it is.
json::value prototype_of(json::value document);

// The merge patch that the options stand for: the file, then --set, then --replicas.
Result<json::value> build_patch(const json::value& from_file, const GroupUpdateOptions& options);

// "http://echo.localhost:8801"; empty without a gateway.
std::string group_address(const GroupView& group, const Context& context);

// A "not found" about a group, with the groups of the project that have a similar name.
Task<Error> suggest_groups(Session& session, Error error, std::string name);

}  // namespace mesclun::client
