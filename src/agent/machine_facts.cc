#include "agent/machine_facts.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

namespace mesclun::agent {

namespace fs = std::filesystem;

namespace {

uint64_t read_memory() {
  struct sysinfo info{};
  uint64_t bytes = 0;
  if (::sysinfo(&info) == 0) bytes = uint64_t{info.totalram} * info.mem_unit;
  // In a container the machine's memory is not ours. "max" does not parse and changes nothing.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0;
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

uint64_t read_storage(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder, error);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0) return 0;
  return uint64_t{info.f_bavail} * info.f_frsize;
}

}  // namespace

MachineFacts read_machine_facts(const fs::path& data) {
  MachineFacts facts;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) facts.hostname = name.data();
  facts.cpu = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
  facts.memory_bytes = read_memory();
  facts.storage_bytes = read_storage(data);
  return facts;
}

}  // namespace mesclun::agent
