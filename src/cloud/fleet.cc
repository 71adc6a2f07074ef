#include "cloud/fleet.h"

namespace mesclun::cloud {

void Fleet::restore(FleetSnapshot snapshot, Moment now) {
  marks = {};
  event_sequence = snapshot.event_sequence;
  for (const Group& group : snapshot.groups) {
    marks.review.insert(group.id);
    marks.routes.insert(group.id);
  }
  groups.restore(std::move(snapshot.groups));
  allocations.restore(std::move(snapshot.allocations));
  nodes.restore(std::move(snapshot.nodes), now.steady);
  exclusions.restore(snapshot.exclusions);
  offers.clear();
  waiting.clear();
  for (const std::string& id : nodes.offered()) marks.offers.insert(id);
  for (const auto& [id, line] : allocations.waiting()) marks.seek.insert(id);
}

void Fleet::add_event(Event event) {
  event.sequence = ++event_sequence;
  marks.events.push_back(std::move(event));
}

FleetChanges Fleet::take_changes() {
  TurnMarks taken = std::exchange(marks, {});
  // Work that the next turn is to find.
  marks.review = std::move(taken.review);
  marks.offers = std::move(taken.offers);
  marks.seek = std::move(taken.seek);
  // From now on their cards are theirs.
  for (const std::string& id : taken.placed) {
    const Allocation* told = allocations.find(id);
    if (told != nullptr && !told->gpu.empty()) marks.offers.insert(told->node_id);
  }
  FleetChanges out;
  for (const std::string& id : taken.groups) {
    const Group* row = groups.find(id);
    if (row != nullptr) {
      out.groups.emplace(id, *row);
    } else {
      out.forgotten_groups.insert(id);
    }
  }
  for (const std::string& id : taken.allocations) {
    const Allocation* row = allocations.find(id);
    out.allocations.emplace(id, row == nullptr ? std::nullopt : std::optional(*row));
  }
  for (const std::string& id : taken.nodes) {
    const Node* row = nodes.find(id);
    if (row != nullptr) {
      out.nodes.emplace(id, *row);
    } else {
      out.forgotten_nodes.insert(id);
    }
  }
  out.exclusions = std::move(taken.exclusions);
  out.versions = std::move(taken.versions);
  out.versions_kept = settings.versions_kept;
  out.logins = std::move(taken.logins);
  out.events = std::move(taken.events);
  out.desired = std::move(taken.desired);
  out.routes = std::move(taken.routes);
  out.free_hosts = std::move(taken.free_hosts);
  return out;
}

}  // namespace mesclun::cloud
