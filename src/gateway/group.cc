#include "gateway/group.h"

#include "base/log.h"

namespace mesclun::gateway {

namespace {

bool is_eligible(const Instance& instance, const std::vector<std::string>& tried) {
  return instance.ready && instance.node->up() &&
         std::ranges::find(tried, instance.id) == tried.end();
}

}  // namespace

InFlight::InFlight(GroupPtr group, InstancePtr instance)
    : group_(std::move(group)), instance_(std::move(instance)) {
  ++group_->in_flight_;
  ++instance_->in_flight;
  ++instance_->requests;
  if (instance_->standing) stay_ = instance_->standing->arrive(group_->clock_.now());
}

InFlight::~InFlight() {
  if (!group_) return;
  --group_->in_flight_;
  --instance_->in_flight;
  if (stay_ && instance_->standing) {
    instance_->standing->leave(*stay_, outcome_, group_->clock_.now());
    if (outcome_.kind == Outcome::Kind::Failed) group_->judge(*instance_);
  }
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
    update_standing(*instance, row.ready, route.adaptive);
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

void Group::update_standing(Instance& instance, bool ready, bool adaptive) const {
  if (!adaptive) {
    instance.standing.reset();
  } else if (!instance.standing) {
    instance.standing.emplace(clock_.now());
  } else if (ready && !instance.ready) {
    instance.standing->begin_anew(clock_.now(), InstanceStanding::kFreshPlaces);
  }
}

BalanceResult Group::choose_by_standing(const std::vector<std::string>& tried,
                                        size_t waiting) const {
  GroupMean mean;
  for (const InstancePtr& instance : instances_) mean.add(instance->standing->model());
  const double prior = mean.seconds();
  const TimePoint now = clock_.now();
  candidates_.clear();
  for (const InstancePtr& instance : instances_) {
    AdaptiveCandidate& candidate =
        candidates_.emplace_back(instance->standing->candidate(now, prior));
    candidate.eligible = is_eligible(*instance, tried);
    candidate.suspect = candidate.eligible && instance->node->suspect();
    if (route_.single_connection_limit) candidate.places = 1;
  }
  return choose_adaptive(candidates_, waiting, next_);
}

void Group::judge(Instance& failed) {
  const TimePoint now = clock_.now();
  EjectionFacts facts{.bad = failed.standing->failures().is_bad(),
                      .times = failed.standing->ejections()};
  if (!facts.bad || failed.standing->ejected(now)) return;
  size_t others = 0;
  for (const InstancePtr& instance : instances_) {
    if (!instance->standing || !is_eligible(*instance, {})) continue;
    ++facts.could_serve;
    if (instance.get() == &failed) continue;
    ++others;
    facts.ejected += instance->standing->ejected(now) ? 1 : 0;
    facts.others_share += instance->standing->failures().share();
  }
  if (others > 0) facts.others_share /= static_cast<double>(others);
  const std::optional<Duration> rest = eject_for(facts, EjectionRule());
  if (!rest) return;
  failed.standing->eject(now, *rest);
  ++stats.ejections;
  log_warning("gateway", "an instance fails more than the others and rests",
              {{"host", route_.dns},
               {"instance", failed.id},
               {"machine", failed.node->id},
               {"seconds", to_seconds(*rest)}});
}

BalanceResult Group::choose_instance(const std::vector<std::string>& tried, size_t waiting) const {
  if (route_.adaptive) return choose_by_standing(tried, waiting);
  const auto at = [&](size_t i) {
    const Instance& instance = *instances_[i];
    Candidate candidate;
    candidate.in_flight = instance.in_flight;
    candidate.eligible = is_eligible(instance, tried);
    candidate.suspect = candidate.eligible && instance.node->suspect();
    return candidate;
  };
  return choose(instances_.size(), at, rule(), next_);
}

Group::Admission Group::admit(const std::vector<std::string>& tried) {
  const BalanceResult result = choose_instance(tried, waiting_.size() + 1);
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
  // A longer line may make one worth using that was left free.
  if (route_.adaptive) serve_waiting();
  return true;
}

void Group::serve_waiting() {
  for (size_t i = 0; i < waiting_.size();) {
    Waiter& first = *waiting_[i];
    const BalanceResult result = choose_instance(first.tried_, waiting_.size());
    if (result.verdict != BalanceResult::Verdict::Chosen) {
      if (first.tried_.empty()) return;
      ++i;
      continue;
    }
    next_ = result.index + 1;
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    first.queued_ = false;
    first.granted.emplace(shared_from_this(), instances_[result.index]);
    first.changed.notify_all();
  }
}

void Group::drop_stale_streams(const PoolLimits& limits, TimePoint now) {
  for (const InstancePtr& instance : instances_) instance->pool.drop_stale(limits, now);
}

}  // namespace mesclun::gateway
