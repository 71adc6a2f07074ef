// The machines, and when each of them counts as lost.
#pragma once

#include <list>
#include <map>
#include <unordered_map>

#include "cloud/turn_marks.h"

namespace mesclun::cloud {

// Runs on:   the fleet loop; node_heard() also between its turns.
// Invariant: every index is what a scan over all() would give. A row is changed only by add(),
//            change() (what is stored) and touch() (what is live), which keep the indexes and the
//            marks.
// Lifetime:  marks outlive it. References to rows stay valid until restore().
class NodeTable {
 public:
  NodeTable(Duration grace, TurnMarks& marks) : grace_(grace), marks_(marks) {}

  // In place of everything but the live parts of those that stay; the others count as heard at
  // `now`. Those that stay are marked: they are to be told anew.
  void restore(std::vector<Node> nodes, TimePoint now);
  const Node& add(Node node);
  // `edit` gets the row as Node&; it leaves the id as it is.
  template <class Edit>
  const Node& change(const std::string& id, Edit edit) {
    Node& node = nodes_.at(id);
    const Before before(node);
    edit(node);
    reindex(node, before);
    marks_.nodes.insert(id);
    return node;
  }
  // `edit` gets Node::Live&: nothing is to be stored.
  template <class Edit>
  const Node& touch(const std::string& id, Edit edit) {
    Node& node = nodes_.at(id);
    const LiveBefore before(node);
    edit(node.live);
    reindex_live(node, before);
    return node;
  }

  // Nothing is placed there any more.
  void erase(const std::string& id);

  const Node* find(const std::string& id) const;
  const Node& at(const std::string& id) const { return nodes_.at(id); }
  const std::map<std::string, Node>& all() const { return nodes_; }
  // Online, able, and both its owner and the operator let it take new replicas.
  const std::set<std::string>& offered() const { return offered_; }
  // Of those that were not said to be silent yet: the first moment at which one is, max() for
  // never; and those that are at `now`, at most `max`, the longest unheard first and then in the
  // order of their ids.
  TimePoint first_silence() const;
  std::vector<std::string> silent_at(TimePoint now, size_t max) const;

 private:
  struct LiveBefore {
    explicit LiveBefore(const Node& node);
    bool online;
    bool silent_beyond_grace;
    TimePoint last_heard;
  };
  struct Before {
    explicit Before(const Node& node)
        : live(node),
          mode(node.mode),
          drained(node.drained),
          facts(node.facts),
          trouble(node.trouble) {}
    LiveBefore live;
    link::NodeMode mode;
    bool drained;
    link::NodeFacts facts;
    std::string trouble;
  };

  void reindex(const Node& node, const Before& before);
  void reindex_live(const Node& node, const LiveBefore& before);
  void index_offer(const Node& node);
  void hear(const Node& node);

  const Duration grace_;
  TurnMarks& marks_;
  std::map<std::string, Node> nodes_;
  std::set<std::string> offered_;
  // Those that were not said to be silent, the longest unheard first. Every message moves its node
  // to the end, so this must cost nothing. Keyed by address for look-up only: rows stay where they
  // are.
  std::list<const Node*> heard_;
  std::unordered_map<const Node*, std::list<const Node*>::iterator> places_;
};

}  // namespace mesclun::cloud
