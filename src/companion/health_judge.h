// Whether the application is alive, from what was seen of it. Pure: times are handed in.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>

#include "companion/config.h"

namespace mesclun::companion {

//   Starting ──► Ready ◄──► Busy        Busy: alive, and the next request would be refused
//                  ▲          ▲
//                  └► Failed ◄┘         Failed heals by itself when the application answers again
//   Stopping: told to end
enum class Health { Starting, Ready, Busy, Failed, Stopping };
std::string_view to_string(Health health);

struct HealthVerdict {
  Health health = Health::Starting;
  std::string reason;  // for people; empty when Ready

  bool alive() const { return health == Health::Ready || health == Health::Busy; }
};

// What the queue knows at the moment of the question.
struct WorkFacts {
  bool queue_full = false;
  std::optional<TimePoint> oldest_dispatch;
};

class HealthJudge {
 public:
  explicit HealthJudge(const ApplicationConfig& config) : config_(config) {}

  // What the instance is busy with before it serves: "checks", "the application starts".
  void preparing(std::string what) { preparing_ = std::move(what); }
  void started(TimePoint now);
  void stopping() { stopping_ = true; }
  // The end of the application, or of the attempt to start it.
  void dead(std::string why) { dead_ = std::move(why); }
  // Says nothing about a request that hangs: a kernel accepts connections for a dead loop, and a
  // thread for health answers beside a stuck one.
  void check_passed();
  // `at_work`: the application has requests. Then a check that it does not answer says nothing: an
  // application of one thread is deaf while it works.
  void check_failed(const std::string& why, bool at_work);
  // The outcome of a request; `error`: 5xx, garbage, a broken connection, or no answer in time.
  // `input` stands for what was asked: one that fails over and over counts once in error_window,
  // for that tells of the input.
  void answered(TimePoint now, bool error, uint64_t input = 0);
  // Something came back, whatever it was.
  void replied(TimePoint now);
  // The application had a request since `began`, for as long as others needed or could wait, and
  // did not answer it.
  void unanswered(TimePoint began, TimePoint now);

  HealthVerdict verdict(TimePoint now, const WorkFacts& work) const;
  bool is_started() const { return started_; }

 private:
  struct Bucket {
    TimePoint from;
    uint64_t answers = 0;
    uint64_t errors = 0;
    std::set<uint64_t> failed_inputs;  // at most kFailedInputs; errors beyond count without
  };
  bool has_failed_before(uint64_t input, TimePoint now) const;
  std::string error_rate_problem(TimePoint now) const;
  std::string hang_problem(TimePoint now, const WorkFacts& work) const;

  const ApplicationConfig& config_;
  std::string preparing_ = "the companion starts";
  bool started_ = false;
  bool stopping_ = false;
  std::string dead_;
  int failures_ = 0;
  std::string last_failure_;
  // How long it has had work since it last replied, up to silence_counted_, which is also when it
  // replied: requests that end at their own deadlines one after the other are one silence.
  Duration silence_{};
  TimePoint silence_counted_{};
  std::deque<Bucket> buckets_;  // at most kBuckets, oldest first
};

}  // namespace mesclun::companion
