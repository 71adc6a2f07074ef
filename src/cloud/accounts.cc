#include "cloud/accounts.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/checks.h"
#include "api/names.h"
#include "base/crypto.h"

namespace mesclun::cloud {

namespace {

template <class T>
Result<std::vector<T>> load_all(store::Transaction& tx, std::string_view sql) {
  TRY(const auto rows, tx.query(sql));
  std::vector<T> out;
  for (const store::Row& row : rows) {
    TRY(T record, from_json_text<T>(row.text(0)));
    out.push_back(std::move(record));
  }
  return out;
}

struct Loaded {
  std::vector<Organization> organizations;
  std::vector<Project> projects;
  std::vector<ApiKey> keys;
};

// What terminals of operators show: bounded, and nothing that moves a cursor.
bool is_shown_text(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !text.empty() && api::characters(text) <= 255 && std::ranges::none_of(text, is_control);
}

Error not_shown_text(std::string_view field) {
  return Error::invalid(
      fmt::format("{} must have 1 to 255 characters, none of them a control character", field));
}

Error name_taken(std::string_view what, std::string_view name) {
  return {ErrorCode::AlreadyExists, fmt::format("/name: {} '{}' exists already", what, name),
          Cause::NameConflict};
}

// Of two that want a name at once the store refuses the second.
Result<> named(Result<> stored, std::string_view what, std::string_view name) {
  if (!stored && stored.code() == ErrorCode::AlreadyExists) return name_taken(what, name);
  return stored;
}

}  // namespace

Task<Result<>> Accounts::load() {
  auto loaded = std::make_shared<Loaded>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(loaded->organizations, load_all<Organization>(tx, "SELECT document FROM organization"));
    TRY(loaded->projects, load_all<Project>(tx, "SELECT document FROM project"));
    TRY(loaded->keys, load_all<ApiKey>(tx, "SELECT document FROM api_key"));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  for (Organization& organization : loaded->organizations) {
    organization_names_[organization.id] = organization.name;
    organizations_[organization.name] = std::move(organization);
  }
  for (Project& project : loaded->projects) {
    projects_[{project.organization_id, project.name}] = std::move(project);
  }
  for (ApiKey& key : loaded->keys) {
    key_ids_[key.key_sha256] = key.id;
    keys_[key.id] = std::move(key);
  }
  co_return Result<>();
}

Task<Result<Organization>> Accounts::create_organization(std::string name,
                                                         std::string display_name) {
  if (!api::is_name(name)) co_return Error::invalid("/name " + std::string(api::kNameRule));
  if (display_name.empty()) display_name = name;
  if (!is_shown_text(display_name)) co_return not_shown_text("/display_name");
  if (organizations_.contains(name)) co_return name_taken("an organization", name);
  Organization made{.id = new_uuid(random_), .name = name, .display_name = display_name};
  made.create_time = made.update_time = to_unix_nanos(clock_.wall_now());
  store::Body body = [made](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("INSERT INTO organization (id, name, document) VALUES ($1, $2, $3)",
                      {made.id, made.name, to_json_text(made)}));
    return {};
  };
  CO_TRY_DO(named(co_await database_.write(std::move(body)), "an organization", name));
  organization_names_[made.id] = made.name;
  organizations_[made.name] = made;
  co_return made;
}

Task<Result<Project>> Accounts::create_project(std::string organization_id, std::string name) {
  if (!api::is_name(name)) co_return Error::invalid("/name " + std::string(api::kNameRule));
  if (projects_.contains({organization_id, name})) co_return name_taken("a project", name);
  Project made{.id = new_uuid(random_), .organization_id = organization_id, .name = name};
  made.create_time = to_unix_nanos(clock_.wall_now());
  store::Body body = [made](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute(
        "INSERT INTO project (id, organization_id, name, document) VALUES ($1, $2, $3, $4)",
        {made.id, made.organization_id, made.name, to_json_text(made)}));
    return {};
  };
  CO_TRY_DO(named(co_await database_.write(std::move(body)), "a project", name));
  projects_[{made.organization_id, made.name}] = made;
  co_return made;
}

// What is read here before a commit may be old after it, so the row is read, changed and written in
// one transaction. Answers come in the order of the commits, and memory follows them.
Task<Result<Organization>> Accounts::change_quotas(std::string organization_id,
                                                   QuotaChange change) {
  const auto changed = std::make_shared<Organization>();
  const int64_t now = to_unix_nanos(clock_.wall_now());
  store::Body body = [=](store::Transaction& tx) -> Result<> {
    TRY(const auto rows,
        tx.query("SELECT document FROM organization WHERE id = $1", {organization_id}));
    if (rows.empty()) return Error::not_found("no such organization");
    TRY(*changed, from_json_text<Organization>(rows[0].text(0)));
    change(changed->quotas);
    changed->update_time = std::max(changed->update_time, now);
    TRY_DO(tx.execute("UPDATE organization SET document = $1 WHERE id = $2",
                      {to_json_text(*changed), organization_id}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  organizations_[changed->name] = *changed;
  co_return *changed;
}

Task<Result<Accounts::NewKey>> Accounts::create_key(std::string user,
                                                    std::vector<std::string> organization_ids,
                                                    bool is_operator, std::string secret) {
  if (!is_shown_text(user)) co_return not_shown_text("/user");
  // Named twice is named once.
  std::ranges::sort(organization_ids);
  const auto twice = std::ranges::unique(organization_ids);
  organization_ids.erase(twice.begin(), twice.end());
  NewKey made{.secret = std::move(secret)};
  if (made.secret.empty()) {
    made.secret = (is_operator ? "mesclun_operator_" : "salad_cloud_user_") + new_secret(random_);
  }
  made.key = {.id = new_uuid(random_), .user = std::move(user)};
  made.key.key_sha256 = sha256_hex(made.secret);
  made.key.organization_ids = std::move(organization_ids);
  made.key.is_operator = is_operator;
  made.key.create_time = to_unix_nanos(clock_.wall_now());
  const ApiKey key = made.key;
  store::Body body = [key](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("INSERT INTO api_key (id, key_sha256, document) VALUES ($1, $2, $3)",
                      {key.id, key.key_sha256, to_json_text(key)}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  key_ids_[key.key_sha256] = key.id;
  keys_[key.id] = key;
  key_changed_(key.key_sha256);
  co_return made;
}

Task<Result<>> Accounts::delete_key(std::string id) {
  const auto key = keys_.find(id);
  if (key == keys_.end()) co_return Error::not_found("no such key");
  if (key->second.is_operator) {
    co_return Error{ErrorCode::FailedPrecondition,
                    "this is the operator's key, without which nobody could make another"};
  }
  store::Body body = [id](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("DELETE FROM api_key WHERE id = $1", {id}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  if (const auto found = keys_.find(id); found != keys_.end()) {
    const std::string key_sha256 = found->second.key_sha256;
    key_ids_.erase(key_sha256);
    keys_.erase(found);
    key_changed_(key_sha256);
  }
  co_return Result<>();
}

const Organization* Accounts::find_organization(std::string_view name) const {
  const auto found = organizations_.find(std::string(name));
  return found == organizations_.end() ? nullptr : &found->second;
}

const Organization* Accounts::organization(const std::string& id) const {
  const auto name = organization_names_.find(id);
  return name == organization_names_.end() ? nullptr : find_organization(name->second);
}

const Project* Accounts::find_project(const std::string& organization_id,
                                      std::string_view name) const {
  const auto found = projects_.find({organization_id, std::string(name)});
  return found == projects_.end() ? nullptr : &found->second;
}

std::vector<const Organization*> Accounts::organizations() const {
  std::vector<const Organization*> out;
  for (const auto& [name, organization] : organizations_) out.push_back(&organization);
  return out;
}

std::vector<const Project*> Accounts::projects_of(const std::string& organization_id) const {
  std::vector<const Project*> out;
  for (const auto& [key, project] : projects_) {
    if (key.first == organization_id) out.push_back(&project);
  }
  return out;
}

const ApiKey* Accounts::find_key(std::string_view secret) const {
  const auto id = key_ids_.find(sha256_hex(secret));
  return id == key_ids_.end() ? nullptr : &keys_.at(id->second);
}

std::optional<link::RouteKey> Accounts::route_key(const std::string& key_sha256) const {
  const auto id = key_ids_.find(key_sha256);
  if (id == key_ids_.end()) return std::nullopt;
  const ApiKey& key = keys_.at(id->second);
  if (key.organization_ids.empty()) return std::nullopt;
  return link::RouteKey{key.key_sha256, key.organization_ids};
}

}  // namespace mesclun::cloud
