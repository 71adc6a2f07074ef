#include "cloud/node_table.h"

#include <algorithm>
#include <iterator>

namespace mesclun::cloud {

NodeTable::LiveBefore::LiveBefore(const Node& node)
    : online(node.online()),
      silent_beyond_grace(node.live.silent_beyond_grace),
      last_heard(node.live.last_heard) {}

void NodeTable::restore(std::vector<Node> nodes, TimePoint now) {
  const std::map<std::string, Node> were = std::exchange(nodes_, {});
  offered_.clear();
  heard_.clear();
  places_.clear();
  for (Node& row : nodes) {
    row.live.last_heard = now;
    if (const auto found = were.find(row.id); found != were.end()) {
      row.live = found->second.live;
      row.live.silent_beyond_grace = false;
      marks_.desired.insert(row.id);
    }
    const Node& node = nodes_[row.id] = std::move(row);
    index_offer(node);
    places_[&node] = heard_.insert(heard_.end(), &node);
  }
  heard_.sort([](const Node* a, const Node* b) { return a->live.last_heard < b->live.last_heard; });
}

const Node& NodeTable::add(Node node) {
  const std::string id = node.id;
  const Node& added = nodes_[id] = std::move(node);
  index_offer(added);
  hear(added);
  marks_.nodes.insert(id);
  return added;
}

void NodeTable::index_offer(const Node& node) {
  if (node.online() && node.mode == link::NodeMode::Active && !node.drained &&
      node.trouble.empty()) {
    offered_.insert(node.id);
  } else {
    offered_.erase(node.id);
  }
}

// Puts the node where its last sign of life belongs: behind everybody, unless time was handed in
// out of order.
void NodeTable::hear(const Node& node) {
  const auto known = places_.find(&node);
  if (node.live.silent_beyond_grace) {
    if (known == places_.end()) return;
    heard_.erase(known->second);
    places_.erase(known);
    return;
  }
  auto before = heard_.end();
  while (before != heard_.begin()) {
    const Node* last = *std::prev(before);
    if (last != &node && last->live.last_heard <= node.live.last_heard) break;
    --before;
  }
  if (known == places_.end()) {
    places_[&node] = heard_.insert(before, &node);
  } else {
    heard_.splice(before, heard_, known->second);
  }
}

void NodeTable::reindex(const Node& node, const Before& before) {
  reindex_live(node, before.live);
  const bool same = node.mode == before.mode && node.drained == before.drained &&
                    node.facts == before.facts && node.trouble.empty() == before.trouble.empty();
  if (same) return;
  index_offer(node);
  marks_.offers.insert(node.id);
}

void NodeTable::reindex_live(const Node& node, const LiveBefore& before) {
  const Node::Live& live = node.live;
  if (live.last_heard != before.last_heard ||
      live.silent_beyond_grace != before.silent_beyond_grace) {
    hear(node);
  }
  const bool online = node.online();
  if (online == before.online) return;
  index_offer(node);
  marks_.offers.insert(node.id);
  if (online) marks_.desired.insert(node.id);
}

void NodeTable::erase(const std::string& id) {
  const auto row = nodes_.find(id);
  if (row == nodes_.end()) return;
  offered_.erase(id);
  if (const auto place = places_.find(&row->second); place != places_.end()) {
    heard_.erase(place->second);
    places_.erase(place);
  }
  nodes_.erase(row);
  marks_.nodes.insert(id);
  marks_.offers.insert(id);
}

const Node* NodeTable::find(const std::string& id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

TimePoint NodeTable::first_silence() const {
  return heard_.empty() ? TimePoint::max() : heard_.front()->live.last_heard + grace_;
}

std::vector<std::string> NodeTable::silent_at(TimePoint now, size_t max) const {
  std::vector<std::string> out;
  for (const Node* node : heard_) {
    if (node->live.last_heard + grace_ > now || out.size() >= max) break;
    out.push_back(node->id);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace mesclun::cloud
