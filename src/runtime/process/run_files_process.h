// Processes that cannot be taken for later ones with the same number.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace mesclun::runtime {

struct ProcessRef {
  int32_t pid = 0;
  int64_t start_ticks = 0;  // since boot
  std::string boot_id;
};
BOOST_DESCRIBE_STRUCT(ProcessRef, (), (pid, start_ticks, boot_id))

// NotFound if there is no such process.
Result<ProcessRef> process_ref(pid_t pid);
// A zombie is not.
bool is_alive(const ProcessRef& process);
// A descriptor that becomes readable when the process ends; NotFound if it has ended already.
Result<Descriptor> open_process(const ProcessRef& process);
// Never hits another process.
void signal_process(const ProcessRef& process, int signal);
// SIGKILL to the session that the process leads or led. True if nobody was left in it.
bool kill_session(const ProcessRef& leader);
// All that descend from `ancestor`, as far as they were not adopted by others.
std::vector<pid_t> descendants(pid_t ancestor);

// What /proc/<pid>/stat says.
struct ProcessStat {
  pid_t pid = 0;
  char state = 0;
  pid_t parent = 0;
  pid_t session = 0;
  int64_t start_ticks = 0;
};
std::optional<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace mesclun::runtime
