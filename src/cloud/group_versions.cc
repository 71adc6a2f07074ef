#include "cloud/group_versions.h"

#include <fmt/format.h>

namespace mesclun::cloud {

namespace {

constexpr size_t kChangesBytesMax = 400;

void find_changes(const json::value& old, const json::value& now, const std::string& path,
                  std::vector<std::string>& out) {
  if (old == now) return;
  const json::object* const before = old.if_object();
  const json::object* const after = now.if_object();
  if (before == nullptr || after == nullptr) {
    out.push_back(path);
    return;
  }
  const auto look = [&](std::string_view name) {
    static const json::value kNone;
    const json::value* a = before->if_contains(name);
    const json::value* b = after->if_contains(name);
    const std::string at = path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
    find_changes(a == nullptr ? kNone : *a, b == nullptr ? kNone : *b, at, out);
  };
  for (const auto& member : *before) look(member.key());
  for (const auto& member : *after) {
    if (!before->contains(member.key())) look(member.key());
  }
}

}  // namespace

std::string changes_between(const api::GroupSpec& old, const api::GroupSpec& now) {
  std::vector<std::string> paths;
  find_changes(write_json(old), write_json(now), "", paths);
  std::string text;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (text.size() + paths[i].size() > kChangesBytesMax) {
      return fmt::format("{}{} more", text, paths.size() - i);
    }
    text += paths[i];
    if (i + 1 < paths.size()) text += ", ";
  }
  return text;
}

api::GroupSpec bring_back(api::GroupSpec former, const api::GroupSpec& now) {
  former.display_name = now.display_name;
  former.replicas = now.replicas;
  if (former.networking && now.networking) {
    const int32_t port = former.networking->port;
    former.networking = now.networking;
    former.networking->port = port;
  }
  former.queue_connection = now.queue_connection;
  former.queue_autoscaler = now.queue_autoscaler;
  former.scaling_actions = now.scaling_actions;
  former.scheduled_scaling_enabled = now.scheduled_scaling_enabled;
  return former;
}

Result<std::vector<GroupVersion>> load_versions(store::Transaction& tx,
                                                const std::string& group_id) {
  TRY(const auto rows,
      tx.query("SELECT document FROM group_version WHERE group_id = $1 ORDER BY version DESC",
               {group_id}));
  std::vector<GroupVersion> out;
  for (const store::Row& row : rows) {
    TRY(GroupVersion version, from_json_text<GroupVersion>(row.text(0)));
    out.push_back(std::move(version));
  }
  return out;
}

Result<> save_version(store::Transaction& tx, const GroupVersion& version, int32_t kept) {
  TRY_DO(
      tx.execute("INSERT INTO group_version (group_id, version, document) VALUES ($1, $2, $3) "
                 "ON CONFLICT (group_id, version) DO NOTHING",
                 {version.group_id, int64_t{version.version}, to_json_text(version)}));
  TRY_DO(tx.execute("DELETE FROM group_version WHERE group_id = $1 AND version <= $2",
                    {version.group_id, int64_t{version.version} - kept}));
  return {};
}

Result<> forget_versions(store::Transaction& tx, const std::string& group_id) {
  TRY_DO(tx.execute("DELETE FROM group_version WHERE group_id = $1", {group_id}));
  return {};
}

}  // namespace mesclun::cloud
