// All that the cloud has told this gateway: hosts, keys and the secret of tunnel tickets. Kept
// while the cloud is away.
#pragma once

#include <unordered_map>

#include "gateway/group.h"

namespace mesclun::gateway {

// Runs on: the gateway's loop.
class RouteTable {
 public:
  // `clock` outlives it and its groups.
  RouteTable(const Clock& clock, Group::FindNode find_node, RetryRule retry = {})
      : clock_(clock), retry_(retry), find_node_(std::move(find_node)) {}

  // A session with the cloud begins: what its updates do not name up to the complete one is gone
  // then.
  void begin_all();
  void apply(link::RouteUpdate update);

  // By the value of a Host header: any case, with or without port. Null: unknown.
  GroupPtr find(std::string_view host) const;
  // Whether the API key belongs to a member of the organization.
  bool key_passes(std::string_view api_key, const std::string& organization_id) const;

  // Whether a complete update has come at all.
  bool loaded() const { return loaded_; }
  const std::string& tunnel_secret() const { return tunnel_secret_; }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [host, group] : groups_) visit(*group);
  }
  size_t size() const { return groups_.size(); }

 private:
  void forget(GroupPtr group);
  void forget_unnamed();

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  const Clock& clock_;
  const RetryRule retry_;
  Group::FindNode find_node_;
  std::unordered_map<std::string, GroupPtr, Hash, std::equal_to<>> groups_;  // by lower-case host
  std::unordered_map<std::string, std::vector<std::string>> keys_;           // by SHA-256, hex
  std::string tunnel_secret_;
  // Named since begin_all(), until the complete update.
  std::set<std::string> hosts_named_;
  std::set<std::string> keys_named_;
  bool naming_ = false;
  bool loaded_ = false;
};

// "Name.Example.COM:8801" to "name.example.com", "[::1]:80" to "[::1]".
std::string host_name(std::string_view host);

}  // namespace mesclun::gateway
