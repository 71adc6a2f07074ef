// Where everything of a run lies on disk, and the records that outlive the agent.
//
//   <data>/lock                           held by the one agent that uses the folder
//   <data>/runs/<instance_id>/run.json    what to run; mode 0600, it holds the environment
//                             shim.json   who supervises it, what of it runs
//                             exit.json   how it ended
//                             log.<n>     its lines (run_files_log.h)
//                             log.read    how far the agent has read them
//                             control     the shim's socket (shim_control.h)
//                             shim.err    what the shim itself had to say, usually nothing
//                             files       link to its working folder
//   <data>/files/<name>/                  a working folder, named after the first run that had it:
//                                         a restart takes it over under the same path
//   <data>/trash/                         being deleted
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "runtime/driver.h"
#include "runtime/process/run_files_process.h"
#include "runtime/walls/isolation.h"

namespace mesclun::runtime {

// run.json
struct RunRecord {
  std::string instance_id;
  std::string image;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  int32_t port = 0;
  std::string files;                 // name of its working folder
  std::string folder;                // the same as a path
  std::vector<std::string> cgroups;  // the folders that its processes join
  Isolation isolation;
  int64_t log_bytes_max = 0;           // of one log file of two
  int64_t memory_bytes = 0;            // for the message when it was exceeded
  int64_t shm_bytes = 0;               // of its /dev/shm
  std::vector<int32_t> service_ports;  // where it reaches services of the machine, on its loopback
  json::object label;
};
BOOST_DESCRIBE_STRUCT(RunRecord, (),
                      (instance_id, image, command, environment, port, files, folder, cgroups,
                       isolation, log_bytes_max, memory_bytes, shm_bytes, service_ports, label))

// shim.json
struct ShimRecord {
  ProcessRef shim;
  std::optional<ProcessRef> keeper;       // shim_keeper.h; none: an older mesclun made the run
  std::optional<ProcessRef> init;         // first process of the process namespace
  std::optional<ProcessRef> application;  // once it was started
  int64_t start_time = 0;                 // unix ns; 0: not started
};
BOOST_DESCRIBE_STRUCT(ShimRecord, (), (shim, keeper, init, application, start_time))

// exit.json
BOOST_DESCRIBE_STRUCT(RunExit, (), (code, start_failure, detail, time))

class RunFiles {
 public:
  explicit RunFiles(std::string data) : data_(std::move(data)) {}

  std::string data() const { return data_; }
  std::string runs() const { return data_ + "/runs"; }
  std::string trash() const { return data_ + "/trash"; }
  std::string folders() const { return data_ + "/files"; }
  std::string run(std::string_view id) const { return fmt::format("{}/runs/{}", data_, id); }
  std::string folder(std::string_view name) const {
    return fmt::format("{}/files/{}", data_, name);
  }

 private:
  std::string data_;
};

// Names of files and cgroups come from it: 1..100 letters, digits, '-', '_' and '.', the first no
// dot.
bool is_safe_name(std::string_view name);

template <class T>
Result<T> read_record(const std::string& path) {
  TRY(const std::string text, read_file(path));
  return from_json_text<T>(text);
}
// A power loss ends the runs as well; then a torn record costs only what it says of a dead one.
template <class T>
Result<> write_record(const std::string& path, const T& record) {
  return replace_file(path, to_json_text(record), Durability::ProcessCrash);
}

}  // namespace mesclun::runtime
