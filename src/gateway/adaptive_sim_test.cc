// Algorithm `adaptive` on simulated instances, beside the others and one ideal queue.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <queue>

#include "gateway/instance_standing.h"
#include "gateway/service_test_kit.h"

namespace mesclun::gateway {
namespace {

using Verdict = BalanceResult::Verdict;

// As image and text generation have it: most are short, some are very long. Log-normal, squared
// coefficient of variation 2.
double heavy(Random& random, double mean) {
  const double sigma = std::sqrt(std::log(3.0));
  const double u = std::sqrt(-2 * std::log(1 - random.unit()));
  const double normal = u * std::cos(2 * M_PI * random.unit());
  return mean * std::exp(sigma * normal - sigma * sigma / 2);
}

// An application of `width` servers over one queue.
struct SimInstance {
  double mean = 1;
  size_t width = 1;
  size_t refuses_at = SIZE_MAX;  // that many are there: the next is refused
  std::deque<size_t> queue;
  size_t serving = 0;
};

struct SimRequest {
  double arrived = 0;
  double work = 1;  // times an instance's mean
  size_t instance = 0;
  ServiceModel::Stay stay;
};

struct Numbers {
  double p50 = 0;
  double p99 = 0;
  size_t refused = 0;

  Numbers& operator+=(const Numbers& other) {
    p50 += other.p50;
    p99 += other.p99;
    refused += other.refused;
    return *this;
  }
};

enum class Way { Adaptive, LeastConnections, RoundRobin, Ideal };

// One gateway before its instances. Ideal: one queue, from which the fastest free server takes the
// oldest.
class QueueSim {
 public:
  QueueSim(std::vector<SimInstance> instances, Way way, uint64_t seed)
      : instances_(std::move(instances)), way_(way), random_(seed) {
    for (size_t i = 0; i < instances_.size(); ++i) {
      standings_.emplace_back(TimePoint());
      in_flight_.push_back(0);
    }
  }

  // `load`: of what the instances can do together. The first third is not measured.
  Numbers run(size_t requests, double load) {
    double rate = 0;
    for (const SimInstance& one : instances_) rate += static_cast<double>(one.width) / one.mean;
    double next = 0;
    while (ended_ < requests) {
      if (requests_.size() < requests && (events_.empty() || next <= events_.top().first)) {
        now_ = next;
        next += exponential(random_, 1 / (rate * load));
        requests_.push_back({.arrived = now_, .work = heavy(random_, 1)});
        waiting_.push_back(requests_.size() - 1);
      } else {
        now_ = events_.top().first;
        const size_t request = events_.top().second;
        events_.pop();
        end(request, Outcome{.kind = Outcome::Kind::Served});
      }
      dispatch();
    }
    std::vector<double> times;
    for (size_t i = requests / 3; i < requests; ++i) {
      if (times_.contains(i)) times.push_back(times_[i]);
    }
    std::ranges::sort(times);
    numbers_.p50 = times[times.size() / 2];
    numbers_.p99 = times[times.size() * 99 / 100];
    return numbers_;
  }

 private:
  BalanceResult choose_one() {
    const size_t count = instances_.size();
    if (way_ == Way::Ideal) {
      std::optional<size_t> best;
      for (size_t i = 0; i < count; ++i) {
        if (in_flight_[i] >= instances_[i].width) continue;
        if (!best || instances_[i].mean < instances_[*best].mean) best = i;
      }
      return best ? BalanceResult{Verdict::Chosen, *best} : BalanceResult{Verdict::AllBusy, 0};
    }
    if (way_ == Way::Adaptive) {
      GroupMean mean;
      for (const InstanceStanding& one : standings_) mean.add(one.model());
      std::vector<AdaptiveCandidate> candidates;
      for (const InstanceStanding& one : standings_) {
        candidates.push_back(one.candidate(at(now_), mean.seconds()));
        candidates.back().eligible = true;
      }
      return choose_adaptive(candidates, waiting_.size(), next_);
    }
    return choose(
        count, [&](size_t i) { return Candidate{true, false, in_flight_[i]}; },
        {.least_connections = way_ == Way::LeastConnections}, next_);
  }

  void dispatch() {
    while (!waiting_.empty()) {
      const BalanceResult result = choose_one();
      if (result.verdict != Verdict::Chosen) return;
      next_ = result.index + 1;
      const size_t request = waiting_.front();
      waiting_.pop_front();
      begin(request, result.index);
    }
  }

  void begin(size_t request, size_t instance) {
    SimInstance& one = instances_[instance];
    requests_[request].instance = instance;
    requests_[request].stay = standings_[instance].arrive(at(now_));
    ++in_flight_[instance];
    if (one.serving + one.queue.size() >= one.refuses_at) {
      ++numbers_.refused;
      end(request, Outcome{.kind = Outcome::Kind::Busy, .retry_after = 1s});
    } else if (one.serving < one.width) {
      serve(request);
    } else {
      one.queue.push_back(request);
    }
  }

  void serve(size_t request) {
    SimInstance& one = instances_[requests_[request].instance];
    ++one.serving;
    events_.emplace(now_ + requests_[request].work * one.mean, request);
  }

  void end(size_t request, const Outcome& outcome) {
    const SimRequest& ended = requests_[request];
    SimInstance& one = instances_[ended.instance];
    standings_[ended.instance].leave(ended.stay, outcome, at(now_));
    --in_flight_[ended.instance];
    ++ended_;
    if (outcome.kind != Outcome::Kind::Served) return;
    times_[request] = now_ - ended.arrived;
    --one.serving;
    if (one.queue.empty()) return;
    const size_t next = one.queue.front();
    one.queue.pop_front();
    serve(next);
  }

  using Event = std::pair<double, size_t>;  // when, which request is done

  std::vector<SimInstance> instances_;
  const Way way_;
  SeededRandom random_;
  std::vector<InstanceStanding> standings_;
  std::vector<uint32_t> in_flight_;
  std::vector<SimRequest> requests_;
  std::deque<size_t> waiting_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::map<size_t, double> times_;
  double now_ = 0;
  size_t next_ = 0;
  size_t ended_ = 0;
  Numbers numbers_;
};

std::vector<SimInstance> uneven() {
  std::vector<SimInstance> all;
  for (const double mean : {0.25, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0})
    all.push_back({.mean = mean});
  return all;
}

// Nine instances, of which two are four times and three twice as fast as the others.
TEST(AdaptiveSim, IsNearTheIdealQueueWhereMachinesAreUneven) {
  for (const size_t width : {1, 8}) {
    std::vector<SimInstance> instances = uneven();
    for (SimInstance& one : instances) one.width = width;
    for (const double load : {0.5, 0.8}) {
      Numbers ideal;
      Numbers adaptive;
      Numbers least;
      // The times of one run vary by a tenth themselves.
      for (const uint64_t seed : {1, 2, 3}) {
        ideal += QueueSim(instances, Way::Ideal, seed).run(10'000, load);
        adaptive += QueueSim(instances, Way::Adaptive, seed).run(10'000, load);
        least += QueueSim(instances, Way::LeastConnections, seed).run(10'000, load);
      }
      const std::string what = fmt::format("width {} load {}", width, load);
      EXPECT_LE(adaptive.p99, 1.1 * ideal.p99) << what;
      EXPECT_LE(adaptive.p99, 0.9 * least.p99) << what;
      EXPECT_LE(adaptive.p50, 1.6 * ideal.p50) << what;
    }
  }
}

// Who refuses has nothing to do, so least connections sends it more and more.
TEST(AdaptiveSim, IsNotDrawnToWhoRefusesFastest) {
  std::vector<SimInstance> instances = {{.mean = 0.5, .width = 4}, {.mean = 0.5, .width = 4}};
  instances.push_back({.mean = 0.5, .width = 1, .refuses_at = 1});
  const Numbers adaptive = QueueSim(instances, Way::Adaptive, 5).run(3'000, 0.8);
  const Numbers least = QueueSim(instances, Way::LeastConnections, 5).run(3'000, 0.8);
  EXPECT_LT(adaptive.refused * 10, least.refused)
      << adaptive.refused << " of 3000 refused, " << least.refused << " with least connections";
}

}  // namespace
}  // namespace mesclun::gateway
