// Names of images as people write them: [REGISTRY/]REPOSITORY[:TAG|@DIGEST].
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mesclun::registry {

// Without tag and digest: pulling any of a repository takes the same right.
struct ImageName {
  std::string registry;    // "docker.io", "ghcr.io", "127.0.0.1:5000"; in lower case
  std::string repository;  // "library/busybox"
  bool operator==(const ImageName&) const = default;
};

// As engines read it: the first part is a registry if it has a dot or a port, or is "localhost".
// InvalidArgument: no engine would pull it.
Result<ImageName> parse_image_name(std::string_view image);

// Where the registry's API is: of docker.io on another host.
std::string api_host(std::string_view registry);
// On this machine, which engines call without TLS.
bool is_local(std::string_view registry);

}  // namespace mesclun::registry
