// The front's heart: what was accepted, what is with the application, and what became of it.
// Connections hand requests in and wait; the rules are RequestQueue's and HealthJudge's.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "base/scope.h"
#include "companion/batch_caller.h"
#include "companion/body_buffer.h"
#include "http/load_report.h"

namespace mesclun::companion {

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

  // The refusal of everything while the application is not alive.
  std::optional<Refusal> not_ready() const;
  // For a gateway that asks for it.
  LoadReport load_report() const;
  // Whether a request would be refused before its body is read.
  std::optional<Refusal> refuse_early(int urgency, uint64_t body_bytes);
  TicketPtr make_ticket() { return std::make_shared<Ticket>(executor_); }
  // Accepts the request or says why not. The id and `arrived` are filled in.
  std::optional<Refusal> accept(const TicketPtr& ticket);
  // The caller has its answer or went away. Frees the place, and the slot of one that was granted
  // and never began: a caller may leave in the very moment of its turn.
  void leave(Ticket& ticket);
  // A granted request is done with the application.
  struct ExchangeEnd {
    bool answered = false;  // at least the head of an answer came
    bool error = false;     // 5xx or no answer
    bool counts = false;    // its time says something about the next: not of a cancelled one
    uint64_t input = 0;     // of an error: what was asked
    std::optional<double> work;
  };
  void exchange_ended(Ticket& ticket, const ExchangeEnd& end);

  // An answer that its caller has not read to its end, although the application is done with it.
  class AnswerUnderWay {
   public:
    explicit AnswerUnderWay(Front& front) : front_(front) { ++front_.answers_under_way_; }
    AnswerUnderWay(const AnswerUnderWay&) = delete;
    AnswerUnderWay& operator=(const AnswerUnderWay&) = delete;
    ~AnswerUnderWay() { --front_.answers_under_way_; }

   private:
    Front& front_;
  };
  // Accepted, or not yet read by its caller.
  bool has_unfinished() const { return queue_.accepted() > 0 || answers_under_way_ > 0; }

  HealthVerdict health() const;
  WorkFacts work_facts() const;
  void set_queue_max(int queue_max);
  void set_concurrency(int concurrency);
  // Ends batches in flight. Requests that still wait are refused.
  Task<void> stop();

  const Config& config() const { return config_; }
  const RequestQueue& queue() const { return queue_; }
  BodyBuffer& bodies() { return bodies_; }
  FrontStats& stats() { return stats_; }
  const FrontStats& stats() const { return stats_; }
  Clock& clock() { return clock_; }
  ApplicationLink& link() { return link_; }

 private:
  // Gives the application what may go to it now.
  void pump();
  void begin(const Dispatch& dispatch, TimePoint now);
  Task<Result<>> look_again_loop();
  Task<Result<>> carry_batch(uint64_t dispatch, std::vector<TicketPtr> tickets);
  void observe(TimePoint began, TimePoint ended, double work);
  Refusal queue_full(Duration retry_after) const;

  asio::any_io_executor executor_;
  Clock& clock_;
  const Config& config_;
  ApplicationLink& link_;
  HealthJudge& judge_;
  FrontObserver& observer_;

  RequestQueue queue_;
  FrontStats stats_;
  BodyBuffer bodies_;
  BatchCaller batches_;
  std::unordered_map<RequestId, TicketPtr> tickets_;  // accepted, and not left
  RequestId last_id_ = 0;
  size_t answers_under_way_ = 0;
  TimePoint look_again_ = TimePoint::max();
  Notify look_again_changed_;
  Scope tasks_;
};

}  // namespace mesclun::companion
