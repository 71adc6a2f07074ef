// One request's way through the queue: its body, its place, its turn, its answer.
#pragma once

#include "companion/relay.h"

namespace mesclun::companion {

// Runs on:   the front's loop; run() once. While the request waits or is at work the caller is
//            watched: when it has left, the request is dropped.
// Promise:   its place in the queue is free when the application is done with it, and when this
//            goes away.
// Lifetime:  the caller and the front outlive it.
class QueuedExchange {
 public:
  QueuedExchange(Caller& caller, Front& front);
  ~QueuedExchange();
  QueuedExchange(const QueuedExchange&) = delete;
  QueuedExchange& operator=(const QueuedExchange&) = delete;

  Task<Next> run();

 private:
  bool is_batched() const;
  std::optional<Refusal> prepare_batched();
  // Until the ticket has changed, or `when`, or the deadline. False: cancelled.
  Task<bool> wait_until(TimePoint when);
  // Waits for the turn, and for an unbatched request does all of it, up to the end of the answer.
  Task<void> wait_and_serve(Next& next);
  void application_is_done(const Front::ExchangeEnd& end);
  Task<Next> send_item();
  Refusal too_late() const;

  Caller& caller_;
  Front& front_;
  CallerRequest& request_;
  BodyBuffer::Share body_share_;
  TicketPtr ticket_;
  bool accepted_ = false;
  std::optional<Relay> relay_;  // of an unbatched request, from its turn on
};

}  // namespace mesclun::companion
