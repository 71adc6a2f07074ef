#include "companion/request_queue.h"

#include <algorithm>

namespace mesclun::companion {

namespace {

// The weight of the newest dispatch in the mean: about the last nine decide.
constexpr double kNewest = 0.2;
constexpr Duration kRetryAfterMin = 1s;

}  // namespace

// Batched requests of one key share a lane; a name that no key can have is for the others.
std::string RequestQueue::lane_name(const QueuedRequest& request) {
  return request.batched ? "b" + request.key : "s";
}

Admission RequestQueue::admit(QueuedRequest request, TimePoint now) {
  Admission admission;
  request.urgency = std::clamp(request.urgency, 0, 7);
  // With a free slot and nobody waiting the estimate is put to the test instead of believed: it may
  // be what is wrong.
  const bool idle = waiting_at_.empty() && running_.size() < rules_.concurrency;
  const std::optional<Duration> expected = expected_time(request.urgency, request.batched, now);
  if (!idle && expected && request.deadline != TimePoint::max() &&
      now + *expected > request.deadline) {
    admission.verdict = Admission::Verdict::WouldMissDeadline;
    admission.retry_after =
        std::max<Duration>(kRetryAfterMin, *expected - (request.deadline - now));
    return admission;
  }
  if (full()) {
    admission.displaced = displace(request.urgency);
    if (!admission.displaced) {
      admission.verdict = Admission::Verdict::QueueFull;
      admission.retry_after = std::max<Duration>(
          kRetryAfterMin, service_[request.batched ? 1 : 0].value_or(kRetryAfterMin));
      return admission;
    }
  }
  const Place place{request.urgency, ++sequence_};
  const std::string lane = lane_name(request);
  waiting_at_.emplace(request.id, std::pair(lane, place));
  ++waiting_by_urgency_[static_cast<size_t>(request.urgency)];
  lanes_[lane].emplace(place, std::move(request));
  return admission;
}

// The youngest waiting request of the worst class, if that is worse than `urgency`.
std::optional<RequestId> RequestQueue::displace(int urgency) {
  const QueuedRequest* worst = nullptr;
  Place worst_place{urgency, UINT64_MAX};
  for (const auto& [name, lane] : lanes_) {
    const auto& [place, request] = *lane.rbegin();
    if (place.first > urgency && (worst == nullptr || place > worst_place)) {
      worst = &request;
      worst_place = place;
    }
  }
  if (worst == nullptr) return std::nullopt;
  const RequestId id = worst->id;
  remove(id);
  return id;
}

void RequestQueue::remove(RequestId id) {
  with_application_.erase(id);
  const auto found = waiting_at_.find(id);
  if (found == waiting_at_.end()) return;
  const auto& [name, place] = found->second;
  const auto lane = lanes_.find(name);
  --waiting_by_urgency_[static_cast<size_t>(place.first)];
  lane->second.erase(place);
  if (lane->second.empty()) lanes_.erase(lane);
  waiting_at_.erase(found);
}

RequestQueue::Candidate RequestQueue::candidate(const Lane& lane) const {
  Candidate out;
  const QueuedRequest& head = lane.begin()->second;
  out.ripe_at = head.arrived;
  out.size = 1;
  if (!head.batched) {
    out.full = true;
    return out;
  }
  double cost = 0;
  TimePoint oldest = TimePoint::max();
  out.size = 0;
  for (const auto& [place, request] : lane) {
    // A single request beyond the bound goes alone: refusing it would be for its whole life.
    const bool fits =
        rules_.batch_cost_max <= 0 || out.size == 0 || cost + request.cost <= rules_.batch_cost_max;
    if (out.size == rules_.batch_size_max || !fits) {
      out.full = true;
      break;
    }
    cost += request.cost;
    oldest = std::min(oldest, request.arrived);
    ++out.size;
  }
  if (out.size == rules_.batch_size_max) out.full = true;
  out.ripe_at = oldest + rules_.batch_wait_max;
  return out;
}

QueueStep RequestQueue::next(TimePoint now) {
  QueueStep step;
  if (running_.size() >= rules_.concurrency) return step;
  auto best = lanes_.end();
  Candidate best_candidate;
  for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane) {
    const Candidate candidate = this->candidate(lane->second);
    if (!candidate.full && candidate.ripe_at > now) {
      step.look_again = std::min(step.look_again, candidate.ripe_at);
      continue;
    }
    if (best == lanes_.end() || lane->second.begin()->first < best->second.begin()->first) {
      best = lane;
      best_candidate = candidate;
    }
  }
  if (best == lanes_.end()) return step;
  Dispatch& dispatch = step.dispatch.emplace();
  dispatch.number = ++dispatch_number_;
  Running& running = running_[dispatch.number];
  running.began = now;
  running.size = best_candidate.size;
  const auto first = best->second.begin();
  running.batched = first->second.batched;
  auto at = first;
  for (size_t i = 0; i < best_candidate.size; ++i, ++at) {
    const QueuedRequest& request = at->second;
    dispatch.requests.push_back(request.id);
    with_application_.insert(request.id);
    waiting_at_.erase(request.id);
    --waiting_by_urgency_[static_cast<size_t>(request.urgency)];
  }
  best->second.erase(first, at);
  if (best->second.empty()) lanes_.erase(best);
  return step;
}

void RequestQueue::finished(uint64_t dispatch, TimePoint now, bool counts) {
  const auto found = running_.find(dispatch);
  if (found == running_.end()) return;
  const Running& running = found->second;
  if (counts) {
    std::optional<Duration>& mean = service_[running.batched ? 1 : 0];
    const Duration took = now - running.began;
    mean =
        !mean ? took : std::chrono::duration_cast<Duration>(*mean * (1 - kNewest) + took * kNewest);
  }
  running_.erase(found);
}

std::optional<TimePoint> RequestQueue::oldest_dispatch() const {
  if (running_.empty()) return std::nullopt;
  return running_.begin()->second.began;
}

size_t RequestQueue::ahead(int urgency) const {
  size_t count = 0;
  for (int u = 0; u <= urgency; ++u) count += waiting_by_urgency_[static_cast<size_t>(u)];
  return count;
}

// Dispatches ahead of ours fill the slots in turn: first the idle ones, then each running one when
// its mean time is over, then round after round.
std::optional<Duration> RequestQueue::expected_time(int urgency, bool batched,
                                                    TimePoint now) const {
  const std::optional<Duration>& service = service_[batched ? 1 : 0];
  if (!service) return std::nullopt;
  const size_t per_dispatch = batched ? std::max<size_t>(1, rules_.batch_size_max) : 1;
  const size_t ahead_dispatches = ahead(std::clamp(urgency, 0, 7)) / per_dispatch;
  const size_t slots = std::max<size_t>(1, rules_.concurrency);
  const size_t used = std::min(running_.size(), slots);
  const size_t idle = slots - used;
  if (ahead_dispatches < idle) return *service;
  const size_t behind = ahead_dispatches - idle;
  const auto round = static_cast<int64_t>(behind / slots);
  const size_t slot = behind % slots;
  Duration begins = *service;
  if (slot < used) {
    auto at = running_.begin();
    std::advance(at, static_cast<ptrdiff_t>(slot));
    begins = std::max<Duration>(Duration{}, at->second.began + *service - now);
  }
  return begins + round * *service + *service;
}

}  // namespace mesclun::companion
