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

void RouteTable::apply(link::RouteUpdate update) {
  if (update.complete) {
    std::set<std::string> named;
    for (const std::string& host : update.hosts) named.insert(host_name(host));
    for (const link::Route& route : update.routes) named.insert(host_name(route.dns));
    for (auto it = groups_.begin(); it != groups_.end();) {
      if (named.contains(it->first)) {
        ++it;
        continue;
      }
      // Requests may hold it: it serves nothing new.
      link::Route gone = it->second->route();
      gone.deleted = true;
      gone.instances.clear();
      it->second->update(std::move(gone), find_node_);
      it = groups_.erase(it);
    }
    tunnel_secret_ = std::move(update.tunnel_secret);
  }
  for (link::Route& route : update.routes) {
    GroupPtr& group = groups_[host_name(route.dns)];
    if (!group) group = std::make_shared<Group>();
    if (route.deleted) route.instances.clear();
    group->update(std::move(route), find_node_);
  }
  if (update.complete || update.keys_changed) {
    keys_.clear();
    for (link::RouteKey& key : update.keys) {
      keys_[lower_case(key.key_sha256)] = std::move(key.organization_ids);
    }
  }
  loaded_ = true;
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
