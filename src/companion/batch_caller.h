// Batches on their way to the application, and what becomes of each request in them.
#pragma once

#include "base/random.h"
#include "companion/application_link.h"
#include "companion/front_stats.h"
#include "companion/health_judge.h"
#include "companion/ticket.h"

namespace mesclun::companion {

// Runs on:   the front's loop; as many batches at a time as are dispatched.
// Promise:   after run() no request of the batch waits: each is answered or refused. What an answer
//            leaves out, or a batch that failed as a whole, is tried once more, each alone.
// Lifetime:  all that it is given outlives it.
class BatchCaller {
 public:
  BatchCaller(Clock& clock, Random& random, const Config& config, ApplicationLink& link,
              HealthJudge& judge, FrontStats& stats)
      : clock_(clock),
        random_(random),
        config_(config),
        link_(link),
        judge_(judge),
        stats_(stats) {}

  struct Outcome {
    TimePoint began{};
    TimePoint ended{};     // of the batch; tries of single requests come after it
    bool whole = false;    // else it failed as a whole
    bool replied = false;  // something came back, to the batch or to an item alone
    std::optional<double> work;
  };
  Task<Outcome> run(std::vector<TicketPtr> tickets);

 private:
  // One call, with an answer for each ticket that the application's answer has one for, and its
  // work added. A refusal: it failed as a whole.
  Task<std::optional<Refusal>> call(std::vector<TicketPtr> tickets, Outcome& outcome);
  void judge_items(const std::vector<TicketPtr>& tickets, const Outcome& outcome);
  HttpCall write_call(const std::vector<TicketPtr>& tickets, const std::vector<BatchItem>& items);
  std::optional<Refusal> hand_out(HttpReply reply, const std::vector<BatchItem>& items,
                                  const std::vector<TicketPtr>& tickets,
                                  std::optional<double>& work);
  void add_work(const HeaderList& headers, std::string_view body, std::optional<double>& work);
  void warn_of_failure(size_t items, const std::string& why);

  Clock& clock_;
  Random& random_;
  const Config& config_;
  ApplicationLink& link_;
  HealthJudge& judge_;
  FrontStats& stats_;
  TimePoint next_warning_ = TimePoint::min();
};

}  // namespace mesclun::companion
