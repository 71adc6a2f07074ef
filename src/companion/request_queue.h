// Who waits, who goes next and with whom, and who is refused. Values and a time in, decisions out;
// nothing here waits.
//
//   admit() ──► waiting ──next()──► with the application ──finished()──► gone
//                  │                        │
//                  └──── remove() ──────────┘   cancelled, past its deadline, or answered
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace mesclun::companion {

using RequestId = uint64_t;

struct QueueRules {
  size_t queue_max = 100;  // accepted and not answered: waiting and with the application
  size_t concurrency = 1;  // dispatches with the application at a time
  size_t batch_size_max = 1;
  double batch_cost_max = 0;  // 0: by count only
  Duration batch_wait_max{};
};

struct QueuedRequest {
  RequestId id = 0;
  int urgency = 3;  // RFC 9218: 0 first, 7 last
  TimePoint arrived{};
  TimePoint deadline = TimePoint::max();
  bool batched = false;
  std::string key;  // of a batched one: only equal keys share a batch
  double cost = 1;
};

struct Admission {
  enum class Verdict { Accepted, QueueFull, WouldMissDeadline };
  Verdict verdict = Verdict::Accepted;
  Duration retry_after{};              // of a refusal: when a place is likely free
  std::optional<RequestId> displaced;  // gave its place to the new one and is gone from here
};

// What goes to the application now, if anything, and when to ask again if nothing else happens.
struct Dispatch {
  uint64_t number = 0;  // for finished()
  std::vector<RequestId> requests;
};
struct QueueStep {
  std::optional<Dispatch> dispatch;
  TimePoint look_again = TimePoint::max();
};

// Order: by urgency, then by arrival. A batch takes requests of one key in that order until it is
// full by count or cost, or its oldest member has waited batch_wait_max; the ripe batch with the
// most urgent, oldest head goes first. An unbatched request is ripe at once.
//
// The expected wait supposes that every dispatch lasts as long as those before it (a moving mean,
// apart for batches and single requests). Without a dispatch seen there is no expectation.
//
// Cost: admit is O(log n + concurrency), next is O(keys × batch_size_max).
class RequestQueue {
 public:
  explicit RequestQueue(QueueRules rules) : rules_(rules) {}

  // New limits hold for what comes; nothing accepted is thrown away.
  void set_queue_max(size_t queue_max) { rules_.queue_max = queue_max; }
  void set_concurrency(size_t concurrency) { rules_.concurrency = concurrency; }
  const QueueRules& rules() const { return rules_; }

  Admission admit(QueuedRequest request, TimePoint now);
  QueueStep next(TimePoint now);
  // The caller has its answer or left. The application may still be at work on it.
  void remove(RequestId id);
  // The application is done with the dispatch. `counts`: its time tells something about the next.
  void finished(uint64_t dispatch, TimePoint now, bool counts);

  size_t accepted() const { return waiting_at_.size() + with_application_.size(); }
  size_t waiting() const { return waiting_at_.size(); }
  // Unanswered requests that the application has.
  size_t with_application() const { return with_application_.size(); }
  size_t dispatches() const { return running_.size(); }
  bool full() const { return accepted() >= rules_.queue_max; }
  // Whether a request of that urgency could take the place of a waiting one.
  bool can_displace(int urgency) const { return waiting() > ahead(urgency); }
  // How long a dispatch lasts on average; nothing before the first one that counted.
  std::optional<Duration> mean_service(bool batched) const { return service_[batched ? 1 : 0]; }
  // When the longest-running dispatch began.
  std::optional<TimePoint> oldest_dispatch() const;
  // From now to the answer, for a request that would come now; nothing before the first dispatch.
  std::optional<Duration> expected_time(int urgency, bool batched, TimePoint now) const;

 private:
  using Place = std::pair<int, uint64_t>;  // urgency, sequence of arrival
  using Lane = std::map<Place, QueuedRequest>;

  struct Running {
    TimePoint began;
    bool batched = false;
    size_t size = 0;
  };
  struct Candidate {
    size_t size = 0;
    bool full = false;
    TimePoint ripe_at{};
  };

  static std::string lane_name(const QueuedRequest& request);
  Candidate candidate(const Lane& lane) const;
  std::optional<RequestId> displace(int urgency);
  QueuedRequest take(std::map<std::string, Lane>::iterator lane);
  size_t ahead(int urgency) const;

  QueueRules rules_;
  uint64_t sequence_ = 0;
  uint64_t dispatch_number_ = 0;
  std::map<std::string, Lane> lanes_;
  std::unordered_map<RequestId, std::pair<std::string, Place>> waiting_at_;
  std::array<size_t, 8> waiting_by_urgency_{};
  std::set<RequestId> with_application_;
  std::map<uint64_t, Running> running_;             // by number, so in order of beginning
  std::array<std::optional<Duration>, 2> service_;  // mean of a dispatch: single, batch
};

}  // namespace mesclun::companion
