#pragma once

#include <string>
#include <vector>

#include "base/socket_conn.h"

namespace mesclun::runtime {

struct ProcessDriverSettings {
  std::string data_folder;                      // absolute; made if missing
  std::string shim_program = "/proc/self/exe";  // understands "shim"
  // For applications whose environment names none; HOME is then their working folder.
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  size_t log_bytes_max = 4 * 1024 * 1024;  // of one log file of two a run
  // Services on this machine's loopback that applications reach at the same address, such as the
  // job queue's; only those with a numeric 127.0.0.1. At most 8.
  std::vector<Endpoint> services;
  bool use_namespaces = true;
  bool use_cgroups = true;
  // Applications with a network of their own reach other machines. Only as root; switches on IP
  // forwarding and adds a table `mesclun` to the packet filter.
  bool use_egress = true;
};

}  // namespace mesclun::runtime
