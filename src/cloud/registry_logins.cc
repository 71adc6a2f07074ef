#include "cloud/registry_logins.h"

#include "registry/image_name.h"

namespace mesclun::cloud {

Result<std::optional<RegistryLogin>> login_for(const api::RegistryChange& change,
                                               std::string_view image) {
  if (change.absent()) return std::nullopt;
  RegistryLogin login;
  if (change.is_null()) return login;
  const Result<registry::ImageName> name = registry::parse_image_name(image);
  if (!name) return Error::invalid("/container/image: " + name.error().message);
  login.registry = name->registry;
  login.secrets = change.value;
  return login;
}

Result<> save_login(store::Transaction& tx, const RegistryLogin& login) {
  if (!login.secrets) return forget_logins(tx, login.group_id);
  // A row anew, so that the order of rows is that of the changes.
  TRY_DO(tx.execute("DELETE FROM registry_login WHERE group_id = $1 AND registry = $2",
                    {login.group_id, login.registry}));
  TRY_DO(
      tx.execute("INSERT INTO registry_login (group_id, registry, sequence, document) "
                 "VALUES ($1, $2, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM registry_login "
                 "WHERE group_id = $1), $3)",
                 {login.group_id, login.registry, to_json_text(*login.secrets)}));
  TRY_DO(
      tx.execute("DELETE FROM registry_login WHERE group_id = $1 AND sequence <= "
                 "(SELECT MAX(sequence) FROM registry_login WHERE group_id = $1) - $2",
                 {login.group_id, kLoginsMax}));
  return {};
}

Result<> forget_logins(store::Transaction& tx, const std::string& group_id) {
  TRY_DO(tx.execute("DELETE FROM registry_login WHERE group_id = $1", {group_id}));
  return {};
}

Result<std::optional<api::RegistryAuthentication>> load_login(store::Transaction& tx,
                                                              const std::string& group_id,
                                                              const std::string& registry) {
  TRY(const auto rows,
      tx.query("SELECT document FROM registry_login WHERE group_id = $1 AND registry = $2",
               {group_id, registry}));
  if (rows.empty()) return std::nullopt;
  TRY(auto secrets, from_json_text<api::RegistryAuthentication>(rows[0].text(0)));
  return secrets;
}

}  // namespace mesclun::cloud
