// How a group's image is pulled from a registry that does not serve everybody (api.md §4.1). Kept
// apart from the group's spec, which nodes and answers show.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace mesclun::api {

enum class RegistryKind { Basic, DockerHub, AwsEcr, GcpGar, GcpGcr };

struct RegistryAuthentication {
  RegistryKind kind = RegistryKind::Basic;
  std::string user;    // of aws_ecr the access key's id; of gcp_gar and gcp_gcr "_json_key"
  std::string secret;  // password, personal access token, secret access key, service key as JSON
  bool operator==(const RegistryAuthentication&) const = default;
};
BOOST_DESCRIBE_STRUCT(RegistryAuthentication, (), (kind, user, secret))

// What /container/registry_authentication of a create call or of a patch says: nothing; null, which
// removes what there was; or all of another one, which replaces it.
using RegistryChange = Patch<RegistryAuthentication>;

// InvalidArgument names the member; exactly one kind must be given, all of it.
Result<RegistryChange> read_registry_authentication(const json::value& document);

}  // namespace mesclun::api

template <>
struct mesclun::JsonEnum<mesclun::api::RegistryKind> {
  using enum mesclun::api::RegistryKind;
  static constexpr std::pair<mesclun::api::RegistryKind, std::string_view> kNames[] = {
      {Basic, "basic"},
      {DockerHub, "docker_hub"},
      {AwsEcr, "aws_ecr"},
      {GcpGar, "gcp_gar"},
      {GcpGcr, "gcp_gcr"}};
};
