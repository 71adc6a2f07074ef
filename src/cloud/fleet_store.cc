#include "cloud/fleet_store.h"

#include <algorithm>

#include "cloud/fleet_placement.h"
#include "cloud/group_versions.h"

namespace mesclun::cloud {

namespace {

template <class T>
Result<std::vector<T>> load_documents(store::Transaction& tx, std::string_view sql,
                                      std::vector<store::Value> values = {}) {
  TRY(const auto rows, tx.query(sql, std::move(values)));
  std::vector<T> out;
  out.reserve(rows.size());
  for (const store::Row& row : rows) {
    TRY(T record, from_json_text<T>(row.text(0)));
    out.push_back(std::move(record));
  }
  return out;
}

Result<> save_allocation(store::Transaction& tx, const std::string& id,
                         const std::optional<Allocation>& allocation) {
  if (!allocation) {
    TRY_DO(tx.execute("DELETE FROM allocation WHERE id = $1", {id}));
    return {};
  }
  TRY_DO(
      tx.execute("INSERT INTO allocation (id, group_id, node_id, document) VALUES ($1, $2, $3, $4) "
                 "ON CONFLICT (id) DO UPDATE SET node_id = excluded.node_id, "
                 "document = excluded.document",
                 {id, allocation->group_id, allocation->node_id, to_json_text(*allocation)}));
  return {};
}

Result<> save_exclusion(store::Transaction& tx, const Exclusion& exclusion) {
  if (exclusion.until == 0) {
    TRY_DO(tx.execute("DELETE FROM exclusion WHERE group_id = $1 AND node_id = $2",
                      {exclusion.group_id, exclusion.node_id}));
    return {};
  }
  TRY_DO(
      tx.execute("INSERT INTO exclusion (group_id, node_id, until, by_failure, reason) "
                 "VALUES ($1, $2, $3, $4, $5) "
                 "ON CONFLICT (group_id, node_id) DO UPDATE SET until = excluded.until, "
                 "by_failure = excluded.by_failure, reason = excluded.reason",
                 {exclusion.group_id, exclusion.node_id, exclusion.until,
                  int64_t{exclusion.by_failure}, exclusion.reason}));
  return {};
}

// Documents of before allocations knew what they hold.
void give_shares(FleetSnapshot& snapshot) {
  std::map<std::string, const Group*> groups;
  for (const Group& group : snapshot.groups) groups[group.id] = &group;
  std::map<std::string, std::vector<Allocation*>> by_node;
  for (Allocation& allocation : snapshot.allocations) {
    if (allocation.placed() && !allocation.done())
      by_node[allocation.node_id].push_back(&allocation);
  }
  for (const Node& node : snapshot.nodes) {
    NodeOffer left = empty_offer(node);
    std::vector<Allocation*>& here = by_node[node.id];
    std::ranges::sort(here, {},
                      [](const Allocation* a) { return std::tuple(a->share == Share{}, a->id); });
    for (Allocation* allocation : here) {
      const PlacementRequest request = request_of(*groups.at(allocation->group_id));
      if (allocation->share == Share{}) {
        allocation->share = request.share;
        const auto card = choose_card(left, request.gpu_classes, {});
        if (card) allocation->gpu = allocation->wish.gpu = card->device;
      }
      for (Card& card : left.cards) {
        if (card.device == allocation->gpu) card.holder = allocation->id;
      }
    }
  }
}

}  // namespace

Result<FleetSnapshot> load_fleet(store::Transaction& tx, int64_t now_unix_ns) {
  FleetSnapshot out;
  TRY(out.groups, load_documents<Group>(tx, "SELECT document FROM container_group"));
  TRY(out.allocations, load_documents<Allocation>(tx, "SELECT document FROM allocation"));
  TRY(out.nodes, load_documents<Node>(tx, "SELECT document FROM node"));
  TRY(const auto exclusions,
      tx.query("SELECT group_id, node_id, until, by_failure, reason FROM exclusion "
               "WHERE until > $1",
               {now_unix_ns}));
  for (const store::Row& row : exclusions) {
    out.exclusions.push_back({.group_id = row.text(0),
                              .node_id = row.text(1),
                              .until = row.integer(2),
                              .by_failure = row.integer(3) != 0,
                              .reason = row.text(4)});
  }
  TRY(const auto newest, tx.query("SELECT COALESCE(MAX(sequence), 0) FROM event"));
  out.event_sequence = newest[0].integer(0);
  give_shares(out);
  return out;
}

Result<> save_fleet(store::Transaction& tx, const FleetChanges& changes) {
  // First: a new group may have the name of one of these.
  for (const std::string& id : changes.forgotten_groups) {
    TRY_DO(tx.execute("DELETE FROM container_group WHERE id = $1", {id}));
    TRY_DO(tx.execute("DELETE FROM event WHERE group_id = $1", {id}));
    TRY_DO(tx.execute("DELETE FROM exclusion WHERE group_id = $1", {id}));
    TRY_DO(forget_versions(tx, id));
    TRY_DO(forget_logins(tx, id));
  }
  for (const GroupVersion& version : changes.versions) {
    TRY_DO(save_version(tx, version, changes.versions_kept));
  }
  for (const auto& [id, group] : changes.groups) {
    TRY_DO(
        tx.execute("INSERT INTO container_group (id, project_id, name, document) "
                   "VALUES ($1, $2, $3, $4) "
                   "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                   {id, group.project_id, group.spec.name, to_json_text(group)}));
    // What a deleted group ran, and its secrets, are nobody's any more.
    if (!group.gone) continue;
    TRY_DO(forget_versions(tx, id));
    TRY_DO(forget_logins(tx, id));
  }
  for (const RegistryLogin& login : changes.logins) {
    TRY_DO(save_login(tx, login));
  }
  for (const auto& [id, allocation] : changes.allocations) {
    TRY_DO(save_allocation(tx, id, allocation));
  }
  for (const auto& [id, node] : changes.nodes) {
    TRY_DO(
        tx.execute("INSERT INTO node (id, document) VALUES ($1, $2) "
                   "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                   {id, to_json_text(node)}));
  }
  for (const std::string& id : changes.forgotten_nodes) {
    TRY_DO(tx.execute("DELETE FROM node WHERE id = $1", {id}));
  }
  for (const Exclusion& exclusion : changes.exclusions) {
    TRY_DO(save_exclusion(tx, exclusion));
  }
  for (const Event& event : changes.events) {
    TRY_DO(
        tx.execute("INSERT INTO event (sequence, group_id, document) VALUES ($1, $2, $3) "
                   "ON CONFLICT (sequence) DO NOTHING",
                   {event.sequence, event.group_id, to_json_text(event)}));
  }
  return {};
}

Result<std::vector<Event>> load_events(store::Transaction& tx, const std::string& group_id,
                                       std::optional<int64_t> after, int64_t limit) {
  if (after) {
    return load_documents<Event>(tx,
                                 "SELECT document FROM event WHERE group_id = $1 AND sequence > $2 "
                                 "ORDER BY sequence LIMIT $3",
                                 {group_id, *after, limit});
  }
  TRY(auto newest, load_documents<Event>(tx,
                                         "SELECT document FROM event WHERE group_id = $1 "
                                         "ORDER BY sequence DESC LIMIT $2",
                                         {group_id, limit}));
  std::ranges::reverse(newest);
  return newest;
}

Result<std::vector<Event>> load_all_events(store::Transaction& tx, int64_t after, int64_t limit) {
  return load_documents<Event>(tx,
                               "SELECT document FROM event WHERE sequence > $1 ORDER BY sequence "
                               "LIMIT $2",
                               {after, limit});
}

Result<> prune(store::Transaction& tx, int64_t events_kept, int64_t now_unix_ns) {
  TRY_DO(tx.execute(
      "DELETE FROM event WHERE sequence <= (SELECT COALESCE(MAX(sequence), 0) FROM event) - $1",
      {events_kept}));
  TRY_DO(tx.execute("DELETE FROM exclusion WHERE until <= $1", {now_unix_ns}));
  return {};
}

}  // namespace mesclun::cloud
