#include "cloud/node_table.h"

#include <algorithm>

namespace mesclun::cloud {

NodeTable::Before::Before(const Node& node)
    : online(node.online()),
      mode(node.mode),
      silent_beyond_grace(node.live.silent_beyond_grace),
      last_heard(node.live.last_heard) {}

void NodeTable::restore(std::vector<Node> nodes, TimePoint now) {
  const std::map<std::string, Node> were = std::exchange(nodes_, {});
  offered_.clear();
  silences_.clear();
  for (Node& row : nodes) {
    row.live.last_heard = now;
    if (const auto found = were.find(row.id); found != were.end()) {
      row.live = found->second.live;
      row.live.silent_beyond_grace = false;
      marks_.desired.insert(row.id);
    }
    index(nodes_[row.id] = std::move(row));
  }
}

const Node& NodeTable::add(Node node) {
  const std::string id = node.id;
  const Node& added = nodes_[id] = std::move(node);
  index(added);
  marks_.nodes.insert(id);
  return added;
}

void NodeTable::index(const Node& node) {
  if (node.online() && node.mode == link::NodeMode::Active) offered_.insert(node.id);
  if (!node.live.silent_beyond_grace) silences_.emplace(node.live.last_heard + grace_, node.id);
}

void NodeTable::reindex(const Node& node, const Before& before) {
  const Node::Live& live = node.live;
  const bool same = live.last_heard == before.last_heard &&
                    live.silent_beyond_grace == before.silent_beyond_grace;
  if (!same) {
    // Every message of every node comes by here: the entry moves without being made anew.
    std::set<Silence>::node_type entry;
    if (!before.silent_beyond_grace)
      entry = silences_.extract({before.last_heard + grace_, node.id});
    if (!live.silent_beyond_grace) {
      if (entry.empty()) {
        silences_.emplace(live.last_heard + grace_, node.id);
      } else {
        entry.value().first = live.last_heard + grace_;
        silences_.insert(std::move(entry));
      }
    }
  }
  const bool online = node.online();
  if (online == before.online && node.mode == before.mode) return;
  if (online && node.mode == link::NodeMode::Active) {
    offered_.insert(node.id);
  } else {
    offered_.erase(node.id);
  }
  if (online) marks_.place = true;
  if (online && !before.online) marks_.desired.insert(node.id);
}

const Node* NodeTable::find(const std::string& id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

TimePoint NodeTable::first_silence() const {
  return silences_.empty() ? TimePoint::max() : silences_.begin()->first;
}

std::vector<std::string> NodeTable::silent_at(TimePoint now) const {
  std::vector<std::string> out;
  for (const auto& [when, id] : silences_) {
    if (when > now) break;
    out.push_back(id);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace mesclun::cloud
