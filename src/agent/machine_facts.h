// What this machine has, as defaults for what it offers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace mesclun::agent {

struct MachineFacts {
  std::string hostname;
  int32_t cpu = 1;             // cores that this process may use
  uint64_t memory_bytes = 0;   // of the machine, or of the control group that we run in
  uint64_t storage_bytes = 0;  // free in the file system of the data folder
};

// `data` may not exist yet. What cannot be found out is zero, cores are at least one.
MachineFacts read_machine_facts(const std::filesystem::path& data);

}  // namespace mesclun::agent
