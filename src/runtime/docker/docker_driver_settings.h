#pragma once

#include <string>
#include <vector>

#include "base/socket_conn.h"
#include "runtime/docker/image_cache.h"

namespace mesclun::runtime {

struct DockerDriverSettings {
  std::string data_folder;  // absolute; made if missing; for one driver at a time
  Endpoint engine{.host = "/var/run/docker.sock", .port = 0, .is_unix = true};
  // On this machine's loopback, reached by containers at the same address; numeric 127.0.0.1, at most 8.
  std::vector<Endpoint> services;
  bool use_egress = true;                  // needs nft
  size_t log_bytes_max = 8 * 1024 * 1024;  // of one log file of two
  int64_t processes_max = 16'384;          // of a container
  // Between two looks at what runs have written; longer where looking takes long.
  Duration disk_period = 10s;
  ImageCacheLimits image_cache;
  Duration image_period = 10s;  // between two looks for images that nobody needs
};

}  // namespace mesclun::runtime
