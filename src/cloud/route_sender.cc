#include "cloud/route_sender.h"

#include "cloud/fleet_views.h"

namespace mesclun::cloud {

void RouteSender::mark_all() {
  for (const auto& [host, group_id] : parts_.fleet.groups.hosts()) hosts_.insert(host);
  for (const auto& [id, key] : parts_.accounts.keys()) keys_.insert(key.key_sha256);
  complete_due_ = true;
  changed_.notify_all();
}

void RouteSender::mark_host(const std::string& host) {
  hosts_.insert(host);
  changed_.notify_all();
}

void RouteSender::mark_key(const std::string& key_sha256) {
  keys_.insert(key_sha256);
  changed_.notify_all();
}

Task<Result<>> RouteSender::run() {
  while (true) {
    while (idle()) CO_TRY_DO(co_await changed_.wait());
    CO_TRY_DO(co_await parts_.session.wait_for_room());
    // A route of a commit that fails would never be taken back.
    CO_TRY_DO(co_await parts_.loop.settled());
    const link::Message update = next_update();
    const Result<> sent = parts_.session.send(update);
    if (!sent && sent.code() != ErrorCode::OutOfRange) co_return sent;
  }
}

link::RouteUpdate RouteSender::next_update() {
  link::RouteUpdate update;
  size_t weight = 0;
  while (!hosts_.empty() && add_host(update, weight)) hosts_.erase(hosts_.begin());
  while (!keys_.empty() && add_key(update, weight)) keys_.erase(keys_.begin());
  if (hosts_.empty() && keys_.empty() && std::exchange(complete_due_, false)) {
    update.complete = true;
    update.tunnel_secret = parts_.tunnel_secret;
  }
  return update;
}

// The first one; false if the update is full.
bool RouteSender::add_host(link::RouteUpdate& update, size_t& weight) {
  const std::string& host = *hosts_.begin();
  const Group* group = parts_.fleet.groups.find_host(host);
  std::optional<link::Route> route;
  if (group != nullptr) route = route_of(parts_.fleet, *group);
  const size_t more = route ? link::weight_of(*route) : link::weight_of(host);
  if (weight > 0 && weight + more > link::kPartBytesMax) return false;
  weight += more;
  if (route) {
    update.routes.push_back(*std::move(route));
  } else {
    update.hosts_gone.push_back(host);
  }
  return true;
}

bool RouteSender::add_key(link::RouteUpdate& update, size_t& weight) {
  const std::string& key_sha256 = *keys_.begin();
  const std::optional<link::RouteKey> key = parts_.accounts.route_key(key_sha256);
  const size_t more = key ? link::weight_of(*key) : link::weight_of(key_sha256);
  if (weight > 0 && weight + more > link::kPartBytesMax) return false;
  weight += more;
  if (key) {
    update.keys.push_back(*key);
  } else {
    update.keys_gone.push_back(key_sha256);
  }
  return true;
}

}  // namespace mesclun::cloud
