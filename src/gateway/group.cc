#include "gateway/group.h"

namespace mesclun::gateway {

InFlight::InFlight(GroupPtr group, InstancePtr instance)
    : group_(std::move(group)), instance_(std::move(instance)) {
  ++group_->in_flight_;
  ++instance_->in_flight;
  ++instance_->requests;
}

InFlight::~InFlight() {
  if (!group_) return;
  --group_->in_flight_;
  --instance_->in_flight;
  group_->serve_waiting();
}

Waiter::~Waiter() {
  if (queued_) std::erase(group_->waiting_, this);
}

void Group::update(link::Route route, const FindNode& find_node) {
  std::map<std::string, InstancePtr> known;
  for (InstancePtr& instance : instances_) known.emplace(instance->id, std::move(instance));
  const std::string next_id = [&] {
    if (route_.instances.empty()) return std::string();
    return route_.instances[next_ % route_.instances.size()].instance_id;
  }();
  instances_.clear();
  next_ = 0;
  for (const link::RouteInstance& row : route.instances) {
    InstancePtr& instance = known[row.instance_id];
    if (!instance) instance = std::make_shared<Instance>();
    instance->id = row.instance_id;
    instance->ready = row.ready;
    instance->port = row.port != 0 ? row.port : route.port;
    instance->node = find_node(row.machine_id);
    if (row.instance_id == next_id) next_ = instances_.size();
    instances_.push_back(std::exchange(instance, nullptr));
  }
  for (auto& [id, gone] : known) {
    if (!gone) continue;
    gone->ready = false;
    gone->pool.clear();
  }
  route_ = std::move(route);
  if (route_.deleted) {
    for (Waiter* waiter : waiting_) waiter->changed.notify_all();
  }
  serve_waiting();
}

BalanceResult Group::choose_instance(const std::vector<std::string>& tried) const {
  const auto at = [&](size_t i) {
    const Instance& instance = *instances_[i];
    Candidate candidate;
    candidate.in_flight = instance.in_flight;
    candidate.eligible = instance.ready && instance.node->up() &&
                         std::ranges::find(tried, instance.id) == tried.end();
    candidate.suspect = candidate.eligible && instance.node->suspect();
    return candidate;
  };
  return choose(instances_.size(), at, rule(), next_);
}

Group::Admission Group::admit(const std::vector<std::string>& tried) {
  const BalanceResult result = choose_instance(tried);
  if (result.verdict != BalanceResult::Verdict::Chosen) return {result.verdict, std::nullopt};
  // A free instance belongs to who waits longest; serve_waiting leaves one only if nobody does.
  if (!waiting_.empty()) return {BalanceResult::Verdict::AllBusy, std::nullopt};
  next_ = result.index + 1;
  return {result.verdict, InFlight(shared_from_this(), instances_[result.index])};
}

bool Group::wait(Waiter& waiter) {
  if (waiting_.size() >= kWaitingMax) return false;
  waiter.queued_ = true;
  waiting_.push_back(&waiter);
  return true;
}

void Group::serve_waiting() {
  while (!waiting_.empty()) {
    const BalanceResult result = choose_instance({});
    if (result.verdict != BalanceResult::Verdict::Chosen) return;
    next_ = result.index + 1;
    Waiter& first = *waiting_.front();
    waiting_.pop_front();
    first.queued_ = false;
    first.granted.emplace(shared_from_this(), instances_[result.index]);
    first.changed.notify_all();
  }
}

void Group::drop_stale_streams(const PoolLimits& limits, TimePoint now) {
  for (const InstancePtr& instance : instances_) instance->pool.drop_stale(limits, now);
}

}  // namespace mesclun::gateway
