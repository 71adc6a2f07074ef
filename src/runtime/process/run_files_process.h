// Processes that cannot be taken for later ones with the same number.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

namespace mesclun::runtime {

struct ProcessRef {
  int32_t pid = 0;
  int64_t start_ticks = 0;  // since boot
  std::string boot_id;
};
BOOST_DESCRIBE_STRUCT(ProcessRef, (), (pid, start_ticks, boot_id))

// What /proc/<pid>/stat says.
struct ProcessStat {
  pid_t pid = 0;
  char state = 0;
  pid_t parent = 0;
  pid_t session = 0;
  int64_t start_ticks = 0;
  int64_t cpu_ticks = 0;
  int64_t children_ticks = 0;  // of those that ended and were waited for
  int64_t resident_pages = 0;
};

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
// All of the machine: one look at /proc.
std::vector<ProcessStat> all_processes();
// What all that descend from `ancestor` have used and use; what ended counts as long as its parent
// waited for it.
struct TreeUsage {
  Duration cpu_time{};
  int64_t memory_bytes = 0;
};
TreeUsage usage_below(pid_t ancestor, const std::vector<ProcessStat>& processes);

std::optional<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace mesclun::runtime
