// Organizations, their projects, and the keys of their users. Few and rarely changed: all of it is
// kept in memory, and every change is stored first.
#pragma once

#include <functional>
#include <map>

#include "api/instance.h"
#include "base/ids.h"
#include "link/messages.h"
#include "store/database.h"

namespace mesclun::cloud {

struct Project {
  std::string id;
  std::string organization_id;
  std::string name;
  int64_t create_time = 0;
};
BOOST_DESCRIBE_STRUCT(Project, (), (id, organization_id, name, create_time))

struct Organization {
  std::string id;
  std::string name;
  std::string display_name;
  int64_t create_time = 0;
  int64_t update_time = 0;
  api::GroupQuotas quotas;
};
BOOST_DESCRIBE_STRUCT(Organization, (), (id, name, display_name, create_time, update_time, quotas))

// One user's key; acts for all organizations of the user. Only its hash is kept.
struct ApiKey {
  std::string id;
  std::string user;
  std::string key_sha256;
  std::vector<std::string> organization_ids;
  bool is_operator = false;
  int64_t create_time = 0;
};
BOOST_DESCRIBE_STRUCT(ApiKey, (),
                      (id, user, key_sha256, organization_ids, is_operator, create_time))

// Runs on: the cloud's loop.
// Errors:  AlreadyExists (name_conflict), NotFound, InvalidArgument with the field, Unavailable.
class Accounts {
 public:
  Accounts(Clock& clock, Random& random, store::Database& database)
      : clock_(clock), random_(random), database_(database) {}

  Task<Result<>> load();

  Task<Result<Organization>> create_organization(std::string name, std::string display_name);
  Task<Result<Project>> create_project(std::string organization_id, std::string name);
  // The change is made to what is stored, one after the other: of two at once none is lost.
  using QuotaChange = std::function<void(api::GroupQuotas&)>;
  Task<Result<Organization>> change_quotas(std::string organization_id, QuotaChange change);
  // The key itself is only ever in this answer. A given `secret` is taken as it is.
  struct NewKey {
    ApiKey key;
    std::string secret;
  };
  Task<Result<NewKey>> create_key(std::string user, std::vector<std::string> organization_ids,
                                  bool is_operator, std::string secret = "");
  Task<Result<>> delete_key(std::string id);

  const Organization* find_organization(std::string_view name) const;
  const Organization* organization(const std::string& id) const;
  const Project* find_project(const std::string& organization_id, std::string_view name) const;
  std::vector<const Organization*> organizations() const;
  std::vector<const Project*> projects_of(const std::string& organization_id) const;
  const ApiKey* find_key(std::string_view secret) const;
  const std::map<std::string, ApiKey>& keys() const { return keys_; }
  bool empty() const { return organizations_.empty() && keys_.empty(); }
  // What gateways need to know of a key; nothing for one that opens no organization's routes.
  std::optional<link::RouteKey> route_key(const std::string& key_sha256) const;
  // Called after each key that was made or deleted, with its hash.
  void on_key_change(std::function<void(const std::string& key_sha256)> told) {
    key_changed_ = std::move(told);
  }

 private:
  Clock& clock_;
  Random& random_;
  store::Database& database_;
  std::map<std::string, Organization> organizations_;                // by name
  std::map<std::string, std::string> organization_names_;            // id -> name
  std::map<std::pair<std::string, std::string>, Project> projects_;  // (organization id, name)
  std::map<std::string, ApiKey> keys_;                               // by id
  std::map<std::string, std::string> key_ids_;                       // hash -> id
  std::function<void(const std::string&)> key_changed_ = [](const std::string&) {};
};

}  // namespace mesclun::cloud
