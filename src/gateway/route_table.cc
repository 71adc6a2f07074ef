#include "gateway/route_table.h"

#include "base/crypto.h"
#include "base/ids.h"
#include "base/text.h"

namespace mesclun::gateway {

std::string host_name(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view name = host.substr(0, colon);
  if (name.ends_with('.')) name.remove_suffix(1);  // the absolute form of the same name
  return lower_case(name);
}

void RouteTable::begin_all() {
  naming_ = true;
  hosts_named_.clear();
  keys_named_.clear();
}

void RouteTable::apply(link::RouteUpdate update) {
  if (update.complete && !naming_) begin_all();
  for (const std::string& gone : update.hosts_gone) {
    const auto found = groups_.find(host_name(gone));
    if (found == groups_.end()) continue;
    forget(found->second);
    groups_.erase(found);
  }
  for (link::Route& route : update.routes) {
    const std::string host = host_name(route.dns);
    if (naming_) hosts_named_.insert(host);
    GroupPtr& group = groups_[host];
    if (!group) group = std::make_shared<Group>(clock_, retry_);
    if (route.deleted) route.instances.clear();
    group->update(std::move(route), find_node_);
  }
  for (const std::string& gone : update.keys_gone) keys_.erase(lower_case(gone));
  for (link::RouteKey& key : update.keys) {
    const std::string hash = lower_case(key.key_sha256);
    if (naming_) keys_named_.insert(hash);
    keys_[hash] = std::move(key.organization_ids);
  }
  if (!update.complete) return;
  forget_unnamed();
  tunnel_secret_ = std::move(update.tunnel_secret);
  loaded_ = true;
}

void RouteTable::forget_unnamed() {
  std::erase_if(groups_, [this](const auto& entry) {
    if (hosts_named_.contains(entry.first)) return false;
    forget(entry.second);
    return true;
  });
  std::erase_if(keys_, [this](const auto& entry) { return !keys_named_.contains(entry.first); });
  naming_ = false;
  hosts_named_.clear();
  keys_named_.clear();
}

// Requests may hold it: it serves nothing new.
void RouteTable::forget(GroupPtr group) {
  link::Route gone = group->route();
  gone.deleted = true;
  gone.instances.clear();
  group->update(std::move(gone), find_node_);
}

GroupPtr RouteTable::find(std::string_view host) const {
  const auto found = groups_.find(host_name(host));
  return found == groups_.end() ? nullptr : found->second;
}

bool RouteTable::key_passes(std::string_view api_key, const std::string& organization_id) const {
  // Keys are looked up by their hash: how long the look-up takes tells nothing about a key.
  const auto found = keys_.find(sha256_hex(api_key));
  return found != keys_.end() &&
         std::ranges::find(found->second, organization_id) != found->second.end();
}

}  // namespace mesclun::gateway
