// Algorithm `adaptive` as pure functions, and on simulated instances in virtual time.
#include "gateway/adaptive.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <cmath>
#include <deque>
#include <map>
#include <queue>

#include "base/random.h"
#include "gateway/instance_standing.h"

namespace mesclun::gateway {
namespace {

using Verdict = BalanceResult::Verdict;

TimePoint at(double seconds) {
  return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
}

double exponential(Random& random, double mean) {
  return -mean * std::log(1 - random.unit());
}

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
      double sum = 0;
      size_t known = 0;
      for (const InstanceStanding& one : standings_) {
        if (one.model().count() < 4) continue;
        sum += one.model().mean_seconds(0);
        ++known;
      }
      const double prior = known > 0 ? sum / static_cast<double>(known) : 0;
      std::vector<AdaptiveCandidate> candidates;
      for (const InstanceStanding& one : standings_) {
        candidates.push_back(one.candidate(at(now_), prior));
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

// ---- ServiceModel ----

// Keeps `level` requests there at all times, each of which takes mean × max(1, level/width).
void teach(ServiceModel& model, double& now, size_t requests, uint32_t level, double mean,
           double width, Random& random) {
  std::deque<std::pair<double, ServiceModel::Stay>> there;
  const double mean_here = mean * std::max(1.0, level / width);
  for (size_t i = 0; i < requests; ++i) {
    while (there.size() < level) {
      there.emplace_back(now + exponential(random, mean_here), model.arrive(at(now)));
      std::ranges::sort(there, {}, &std::pair<double, ServiceModel::Stay>::first);
    }
    now = there.front().first;
    model.learn(there.front().second, at(now));
    model.leave(at(now));
    there.pop_front();
  }
  for (size_t i = 0; i < there.size(); ++i) model.leave(at(now));
}

TEST(ServiceModelTest, FindsHowManyAtOnceAreOfUse) {
  for (const double width : {1, 4, 16}) {
    SeededRandom random(3);
    ServiceModel model;
    double now = 0;
    for (int round = 0; round < 3; ++round) {
      for (const uint32_t level : {1, 2, 4, 8, 16, 32}) {
        teach(model, now, 400, level, 0.5, width, random);
      }
    }
    EXPECT_NEAR(model.width(), width, 0.25 * width);
    EXPECT_NEAR(model.mean_seconds(0), 0.5, 0.1);
    ASSERT_TRUE(model.useful_at_once());
    EXPECT_GE(*model.useful_at_once(), width * 0.75);
  }
}

TEST(ServiceModelTest, SetsNoBoundThatNobodyHasShown) {
  SeededRandom random(4);
  ServiceModel model;
  double now = 0;
  for (int round = 0; round < 5; ++round) {
    for (const uint32_t level : {1, 3, 9}) teach(model, now, 300, level, 0.5, 1000, random);
    EXPECT_FALSE(model.useful_at_once());
  }
  EXPECT_GE(model.width(), 8);
  EXPECT_LE(model.width(), 9);
}

TEST(ServiceModelTest, NoticesAMachineThatSlowsDown) {
  SeededRandom random(5);
  ServiceModel model;
  double now = 0;
  teach(model, now, 1000, 1, 0.5, 1, random);
  EXPECT_NEAR(model.mean_seconds(0), 0.5, 0.1);
  teach(model, now, 200, 1, 1.5, 1, random);
  EXPECT_NEAR(model.mean_seconds(0), 1.5, 0.4);
}

TEST(ServiceModelTest, AYoungOneCountsAsTheOthersDo) {
  SeededRandom random(6);
  ServiceModel model;
  EXPECT_EQ(model.mean_seconds(2), 2);
  double now = 0;
  teach(model, now, 1, 1, 0.1, 1, random);
  EXPECT_GT(model.mean_seconds(2), 1);
  teach(model, now, 100, 1, 0.1, 1, random);
  EXPECT_LT(model.mean_seconds(2), 0.3);
}

// ---- the choice ----

AdaptiveCandidate ready(double mean, uint32_t in_flight = 0, uint32_t places = UINT32_MAX) {
  return {.eligible = true, .in_flight = in_flight, .places = places, .mean_seconds = mean};
}

BalanceResult choose_of(std::vector<AdaptiveCandidate> all, size_t waiting = 1, size_t start = 0) {
  return choose_adaptive(all, waiting, start);
}

TEST(Adaptive, TakesWhoIsDoneFirst) {
  EXPECT_EQ(choose_of({ready(1), ready(0.25), ready(0.5)}).index, 1u);
  EXPECT_EQ(choose_of({ready(1), ready(0.25, 2), ready(0.5)}).index, 2u);
  EXPECT_EQ(choose_of({ready(1), ready(0.25, 1), ready(0.5, 5)}).index, 1u)
      << "0.5 s there, 1 s free";
  EXPECT_EQ(choose_of({ready(1), ready(1), ready(1.01)}, 1, 2).index, 2u) << "nearly equal";
}

TEST(Adaptive, LeavesASlowOneFreeForAShortQueueOnly) {
  const std::vector<AdaptiveCandidate> all = {ready(0.2, 1, 1), ready(0.2, 1, 1), ready(2)};
  EXPECT_EQ(choose_of(all, 1).verdict, Verdict::AllBusy);
  EXPECT_EQ(choose_of(all, 10).index, 2u);
}

TEST(Adaptive, OutliersAndSuspectsAreForWantOfOthers) {
  AdaptiveCandidate ejected = ready(0.1);
  ejected.ejected = true;
  AdaptiveCandidate suspect = ready(0.1);
  suspect.suspect = true;
  EXPECT_EQ(choose_of({ejected, suspect, ready(1, 5)}).index, 2u);
  EXPECT_EQ(choose_of({ejected, suspect}).index, 0u);
  EXPECT_EQ(choose_of({suspect}).verdict, Verdict::Chosen);
  EXPECT_EQ(choose_of({ejected, ejected, ready(1, 5)}).index, 0u) << "more than half are ejected";
  AdaptiveCandidate refusing = ready(0.1);
  refusing.refusing = true;
  EXPECT_EQ(choose_of({refusing, ready(1, 5)}).index, 1u);
  EXPECT_EQ(choose_of({refusing}).verdict, Verdict::AllBusy);
  EXPECT_EQ(choose_of({{}, {}}).verdict, Verdict::NoneEligible);
  EXPECT_EQ(choose_of({}).verdict, Verdict::NoneEligible);
}

// ---- what is known of one ----

TEST(InstanceStandingTest, ABurstDoesNotAllGoToWhoWakesFirst) {
  InstanceStanding standing(at(0));
  EXPECT_EQ(standing.candidate(at(0.5), 1).places, 4u);
  EXPECT_EQ(standing.candidate(at(3.5), 1).places, 32u);
  EXPECT_GT(standing.candidate(at(11), 1).places, 100'000u);
  const auto stay = standing.arrive(at(0.6));
  standing.leave(stay, {.kind = Outcome::Kind::Served}, at(0.7));
  EXPECT_EQ(standing.candidate(at(0.7), 1).places, 5u);
}

TEST(InstanceStandingTest, ARefusalIsABoundThatGrowsAgain) {
  InstanceStanding standing(at(0));
  std::vector<ServiceModel::Stay> stays;
  for (int i = 0; i < 6; ++i) stays.push_back(standing.arrive(at(20)));
  standing.leave(stays[5], {.kind = Outcome::Kind::Busy, .retry_after = 30s}, at(20));
  EXPECT_TRUE(standing.candidate(at(20.5), 1).refusing);
  EXPECT_FALSE(standing.candidate(at(21.1), 1).refusing) << "the next request finds out";
  EXPECT_EQ(standing.candidate(at(21.1), 1).places, 5u);
  standing.leave(stays[4], {.kind = Outcome::Kind::Busy}, at(21.1));
  standing.leave(stays[3], {.kind = Outcome::Kind::Served}, at(21.15));
  EXPECT_FALSE(standing.candidate(at(21.15), 1).refusing) << "a place has become free";
  for (int i = 0; i < 5; ++i) {
    standing.leave(standing.arrive(at(22)), {.kind = Outcome::Kind::Served}, at(22.1));
  }
  EXPECT_EQ(standing.candidate(at(23), 1).places, 5u) << "one more for each round";
}

TEST(InstanceStandingTest, WhatItSaysOfItselfCounts) {
  InstanceStanding standing(at(0));
  const auto first = standing.arrive(at(20));
  const auto second = standing.arrive(at(20));
  // Eight places, six requests there: two of them are ours.
  standing.leave(first, {.kind = Outcome::Kind::Served, .load = LoadReport{0.75, 8}}, at(21));
  EXPECT_EQ(standing.candidate(at(21), 1).places, 4u);
  EXPECT_EQ(standing.candidate(at(21), 1).width, 8);
  EXPECT_GT(standing.candidate(at(40), 1).places, 100'000u) << "long ago";
  standing.leave(second, {}, at(41));
}

TEST(InstanceStandingTest, ALongWayNeedsRequestsUnderWay) {
  InstanceStanding standing(at(0));
  for (int i = 0; i < 20; ++i) {
    const auto stay = standing.arrive(at(20 + i));
    standing.leave(stay, {.kind = Outcome::Kind::Served, .load = LoadReport{0.25, 4}},
                   at(20.1 + i));
  }
  EXPECT_EQ(standing.candidate(at(40), 0.1).places, 4u);
  standing.note_reach(50ms);
  EXPECT_EQ(standing.candidate(at(40), 0.1).places, 6u)
      << "half as long as the work: half as many more";
}

// ---- outliers ----

TEST(Outlier, FiveFailuresInARowAreBad) {
  FailureShare share;
  for (int i = 0; i < 100; ++i) share.count(false);
  for (int i = 0; i < 4; ++i) share.count(true);
  EXPECT_FALSE(share.is_bad());
  share.count(true);
  EXPECT_TRUE(share.is_bad());
  for (int i = 0; i < 5; ++i) share.count(false);
  EXPECT_FALSE(share.is_bad());
}

TEST(Outlier, NeverMoreThanHalfAreEjectedAndNeverTheLast) {
  const EjectionRule rule;
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 4, .ejected = 1}, rule), 5s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 4, .ejected = 2}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 2}, rule), 5s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 1}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 0}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = false, .could_serve = 9}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .others_share = 0.4, .could_serve = 9}, rule), std::nullopt)
      << "the application fails everywhere";
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 9, .times = 2}, rule), 15s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 9, .times = 50}, rule), 60s);
}

}  // namespace
}  // namespace mesclun::gateway
