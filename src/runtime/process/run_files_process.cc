#include "runtime/process/run_files_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <sstream>

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

namespace {

const std::string& boot_id() {
  static const std::string id = [] {
    std::string text = read_file("/proc/sys/kernel/random/boot_id").value_or("unknown");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }();
  return id;
}

std::optional<ProcessStat> stat_of(pid_t pid) {
  const Result<std::string> text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  return parse_process_stat(*text);
}

std::optional<ProcessStat> stat_of(const ProcessRef& process) {
  if (process.pid <= 0 || process.boot_id != boot_id()) return std::nullopt;
  const std::optional<ProcessStat> stat = stat_of(process.pid);
  if (!stat || stat->start_ticks != process.start_ticks) return std::nullopt;
  return stat;
}

bool lives(const ProcessStat& stat) {
  return stat.state != 'Z' && stat.state != 'X';
}

Duration of_ticks(int64_t ticks) {
  static const int64_t per_second = ::sysconf(_SC_CLK_TCK);
  return std::chrono::nanoseconds(ticks * (1'000'000'000 / per_second));
}

}  // namespace

std::vector<ProcessStat> all_processes() {
  std::vector<ProcessStat> found;
  for (const std::string& name : list_folder("/proc")) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (const std::optional<ProcessStat> stat = stat_of(pid)) found.push_back(*stat);
  }
  return found;
}

TreeUsage usage_below(pid_t ancestor, const std::vector<ProcessStat>& processes) {
  static const int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  std::multimap<pid_t, const ProcessStat*> children;
  TreeUsage sum;
  for (const ProcessStat& process : processes) {
    children.emplace(process.parent, &process);
    if (process.pid == ancestor) sum.cpu_time += of_ticks(process.children_ticks);
  }
  std::vector<pid_t> todo{ancestor};
  while (!todo.empty()) {
    const auto [begin, end] = children.equal_range(todo.back());
    todo.pop_back();
    for (auto it = begin; it != end; ++it) {
      sum.cpu_time += of_ticks(it->second->cpu_ticks + it->second->children_ticks);
      sum.memory_bytes += it->second->resident_pages * page_bytes;
      todo.push_back(it->second->pid);
    }
  }
  return sum;
}

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  // pid (name) state parent group session tty tpgid flags ... start; the name may hold anything.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  ProcessStat stat;
  std::from_chars(text.data(), text.data() + text.size(), stat.pid);
  std::istringstream rest{std::string(text.substr(name_end + 1))};
  std::string skip;
  rest >> stat.state >> stat.parent >> skip >> stat.session;
  for (int field = 7; field < 14; ++field) rest >> skip;
  int64_t kernel_ticks = 0;
  int64_t children_kernel_ticks = 0;
  rest >> stat.cpu_ticks >> kernel_ticks >> stat.children_ticks >> children_kernel_ticks;
  stat.cpu_ticks += kernel_ticks;
  stat.children_ticks += children_kernel_ticks;
  for (int field = 18; field < 22; ++field) rest >> skip;
  rest >> stat.start_ticks >> skip >> stat.resident_pages;
  if (!rest) return std::nullopt;
  return stat;
}

Result<ProcessRef> process_ref(pid_t pid) {
  const std::optional<ProcessStat> stat = stat_of(pid);
  if (!stat) return Error::not_found(fmt::format("no process {}", pid));
  return ProcessRef{.pid = pid, .start_ticks = stat->start_ticks, .boot_id = boot_id()};
}

bool is_alive(const ProcessRef& process) {
  const std::optional<ProcessStat> stat = stat_of(process);
  return stat && lives(*stat);
}

Result<Descriptor> open_process(const ProcessRef& process) {
  Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd) return system_error(fmt::format("cannot watch process {}", process.pid));
  // Only now: from here on the number cannot be given to another process unnoticed.
  if (!is_alive(process)) return Error::not_found("the process has ended");
  return pidfd;
}

void signal_process(const ProcessRef& process, int signal) {
  const Result<Descriptor> pidfd = open_process(process);
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd->get(), signal, nullptr, 0);
}

bool kill_session(const ProcessRef& leader) {
  if (leader.pid <= 0 || leader.boot_id != boot_id()) return true;
  // The number is not given away as long as the session has members; if somebody else has it, the
  // session is gone.
  const std::optional<ProcessStat> holder = stat_of(leader.pid);
  if (holder && holder->start_ticks != leader.start_ticks) return true;
  bool empty = true;
  for (const ProcessStat& process : all_processes()) {
    if (process.session != leader.pid || !lives(process)) continue;
    empty = false;
    ::kill(process.pid, SIGKILL);
  }
  return empty;
}

std::vector<pid_t> descendants(pid_t ancestor) {
  std::multimap<pid_t, pid_t> children;
  for (const ProcessStat& process : all_processes()) children.emplace(process.parent, process.pid);
  std::vector<pid_t> found;
  std::vector<pid_t> todo{ancestor};
  while (!todo.empty()) {
    const auto [begin, end] = children.equal_range(todo.back());
    todo.pop_back();
    for (auto it = begin; it != end; ++it) {
      found.push_back(it->second);
      todo.push_back(it->second);
    }
  }
  return found;
}

}  // namespace mesclun::runtime
