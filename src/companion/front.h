// The front's heart: what was accepted, what is with the application, and what became of it.
// Connections hand requests in and wait; the rules are RequestQueue's and HealthJudge's.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/random.h"
#include "base/scope.h"
#include "companion/application_link.h"
#include "companion/batch_codec.h"
#include "companion/front_stats.h"
#include "companion/health_judge.h"
#include "companion/refusal.h"
#include "companion/request_queue.h"

namespace mesclun::companion {

// One accepted request, shared by its connection and the dispatch that carries it.
struct Ticket {
  enum class State {
    Waiting,   // in the queue, or in a batch with the application
    Granted,   // unbatched: its connection may talk to the application now
    Answered,  // batched: `answer` is there
    Refused,   // `refusal` says why: displaced, or the batch failed
  };

  explicit Ticket(const asio::any_io_executor& executor) : changed(executor) {}

  QueuedRequest queued;
  std::string path;
  std::string content_type;
  std::string body;
  State state = State::Waiting;
  bool dispatched = false;
  uint64_t dispatch = 0;
  bool holds_slot = false;  // granted, and not yet done with the application
  ItemAnswer answer;
  Refusal refusal;
  Notify changed;
};
using TicketPtr = std::shared_ptr<Ticket>;

// Told of what the monitor judges by.
class FrontObserver {
 public:
  virtual ~FrontObserver() = default;
  // A request, or a batch as one, that was answered well, with its work.
  virtual void finished(TimePoint began, TimePoint ended, double work) = 0;
};

// Runs on:   one loop.
// Promise:   an accepted request is answered, refused, or left by its caller; its place is free
//            the moment that happens.
// Lifetime:  clock, random, link, judge and observer outlive it; stop() before it goes away.
class Front {
 public:
  Front(const asio::any_io_executor& executor, Clock& clock, Random& random, const Config& config,
        ApplicationLink& link, HealthJudge& judge, FrontObserver& observer);

  // What a caller is told when the application gave no answer.
  Refusal application_refusal(const Error& error) const;
  // The refusal of everything while the application is not alive.
  std::optional<Refusal> not_ready() const;
  // Whether a request would be refused before its body is read.
  std::optional<Refusal> refuse_early(int urgency, uint64_t body_bytes);
  // Accepts the request or says why not. The id and `arrived` are filled in.
  std::optional<Refusal> accept(const TicketPtr& ticket);
  TicketPtr make_ticket() { return std::make_shared<Ticket>(executor_); }

  // The caller has its answer or went away. Frees the place, and the slot of one that was granted
  // and never began: a caller may leave in the very moment of its turn.
  void leave(Ticket& ticket);
  // A granted request is done with the application.
  struct ExchangeEnd {
    TimePoint began;
    bool error = false;   // 5xx or no answer
    bool counts = false;  // its time says something about the next: not of a cancelled one
    std::optional<double> work;
  };
  void exchange_ended(Ticket& ticket, const ExchangeEnd& end);

  // Bodies in memory. False: no room for so many bytes more.
  bool reserve_bytes(uint64_t bytes);
  void release_bytes(uint64_t bytes) { buffered_bytes_ -= bytes; }

  HealthVerdict health() const;
  WorkFacts work_facts() const;
  void set_queue_max(int queue_max);
  void set_concurrency(int concurrency);
  // Wakes everybody whose wait depends on the health, and looks at the queue again.
  void pump();
  // Ends batches in flight. Requests that still wait are refused.
  Task<void> stop();

  const Config& config() const { return config_; }
  const RequestQueue& queue() const { return queue_; }
  FrontStats& stats() { return stats_; }
  const FrontStats& stats() const { return stats_; }
  Clock& clock() { return clock_; }
  ApplicationLink& link() { return link_; }

 private:
  Task<Result<>> look_again_loop();
  Task<Result<>> run_batch(uint64_t dispatch, std::vector<TicketPtr> tickets);
  // One batch call; adds to `work` what the answers tell of it. False: it failed as a whole, with
  // the reason in `failure`.
  Task<bool> call_batch(std::vector<TicketPtr> tickets, Refusal& failure,
                        std::optional<double>& work);
  void add_work(const HeaderList& headers, std::string_view body, std::optional<double>& work);
  Refusal queue_full(Duration retry_after) const;
  void warn_of_failure(size_t items, const std::string& why);
  void answer(Ticket& ticket, ItemAnswer answer);
  void refuse(Ticket& ticket, Refusal refusal);

  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  const Config& config_;
  ApplicationLink& link_;
  HealthJudge& judge_;
  FrontObserver& observer_;
  RequestQueue queue_;
  FrontStats stats_;
  std::unordered_map<RequestId, TicketPtr> tickets_;
  RequestId last_id_ = 0;
  uint64_t buffered_bytes_ = 0;
  TimePoint look_again_ = TimePoint::max();
  TimePoint next_warning_ = TimePoint::min();
  Notify look_again_changed_;
  Scope tasks_;
};

}  // namespace mesclun::companion
