// Containers of an engine, by its ids.
#pragma once

#include <sys/types.h>

#include "runtime/docker/engine.h"

namespace mesclun::runtime {

// What the engine says of a container.
struct ContainerState {
  bool running = false;
  pid_t process = 0;  // while it runs
  int32_t exit_code = 0;
  bool out_of_memory = false;
  int64_t finish_time = 0;  // unix ns
  // Folders of this machine that hold what it writes.
  std::string layer;  // empty: the engine keeps it in another form
  std::vector<std::string> volumes;
};
// NotFound: there is none.
Task<Result<ContainerState>> inspect_container(Engine& engine, std::string container);
// POST /containers/ID/VERB, with what the engine says.
Task<Result<json::value>> ask_container(Engine& engine, std::string container, std::string verb,
                                        json::value body = {});
// To one that has just ended: that is no error.
Task<Result<>> signal_container(Engine& engine, std::string container, std::string_view name);
// With its files. One that is gone is no error.
Task<Result<>> delete_container(Engine& engine, std::string container);
// The ids of those with that label, ended ones too.
Task<Result<std::vector<std::string>>> list_containers(Engine& engine, std::string label);

}  // namespace mesclun::runtime
