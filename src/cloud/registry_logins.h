// How images of groups are pulled that a registry does not give to everybody. Beside the groups' specs,
// which nodes and answers show; only pull_grants.h reads them.
#pragma once

#include "api/registry_authentication.h"
#include "store/database.h"

namespace mesclun::cloud {

// Of a group, for the one registry that they were given for: an image elsewhere does not get them. A
// later one for the same registry holds for every version of the group.
struct RegistryLogin {
  std::string group_id;
  std::string registry;                                // as registry::ImageName has it
  std::optional<api::RegistryAuthentication> secrets;  // nothing: the group has none any more
};

// The login that a create call or a patch makes for a group with this image; nothing: it says nothing.
// InvalidArgument: the image's name cannot be understood.
Result<std::optional<RegistryLogin>> login_for(const api::RegistryChange& change,
                                               std::string_view image);

// Of a group the newest kLoginsMax registries stay.
inline constexpr int64_t kLoginsMax = 8;
Result<> save_login(store::Transaction& tx, const RegistryLogin& login);
Result<> forget_logins(store::Transaction& tx, const std::string& group_id);
Result<std::optional<api::RegistryAuthentication>> load_login(store::Transaction& tx,
                                                              const std::string& group_id,
                                                              const std::string& registry);

}  // namespace mesclun::cloud
