// What a container is made of, as the engine wants to be told. Pure.
#pragma once

#include "base/json.h"
#include "runtime/driver.h"

namespace mesclun::runtime {

inline constexpr const char* kFolderLabel = "mesclun.folder";  // whose driver made it
inline constexpr const char* kFilesLabel = "mesclun.files";    // which files of that driver it is

struct ContainerPlan {
  std::string files;                      // its name among the driver's files
  std::string data_folder;                // the driver's
  std::string starter;                    // path of the program of starter_main.cc on this machine
  std::string door;                       // folder that holds the starter's socket
  size_t log_bytes_max = 0;               // of one log file of two
  int64_t processes_max = 0;              // threads count too
  std::vector<std::string> name_servers;  // empty: the engine chooses
  std::string cgroup_parent;              // likewise
};

// The body of POST /containers/create. It has no network: the driver makes one. Neither more
// privileges than at its start, nor any capability but those that ordinary images need to change
// users and files, and to listen below 1024.
json::object container_config(const RunSpec& spec, const ContainerPlan& plan);
// What can be changed while it lives, the body of POST /containers/ID/update. Beside a limit of CPU
// time it has a share by its cores. Memory without swap: what is above the limit is killed rather than
// slow.
json::object container_limits(RunLimits limits);

// What an image runs by itself, from GET /images/NAME/json.
std::vector<std::string> command_of_image(const json::value& image);

}  // namespace mesclun::runtime
