// One request with the application: sent on, and the answer passed to the caller as it comes.
#pragma once

#include "companion/answer_buffer.h"
#include "companion/app_exchange.h"
#include "companion/caller.h"
#include "companion/work_meter.h"

namespace mesclun::companion {

// Runs on:   the front's loop; run() once.
// Lifetime:  the caller and the front outlive it.
class Relay {
 public:
  // Told once, when the application is done with the request: an answer that its caller reads
  // slowly may be on its way for long after that.
  using Done = std::function<void(const Front::ExchangeEnd&)>;

  Relay(Caller& caller, Front& front, Done done)
      : caller_(caller),
        front_(front),
        done_(std::move(done)),
        exchange_(front.link()),
        meter_(front.config().monitor.work) {}

  // For a request whose body is there. `next` stays as it is if it is cancelled, which is how the
  // caller's leaving ends it; then `done` may not be told.
  Task<void> run(Next& next);
  // After Next::Upgraded: lasts as long as both like. Takes the caller's connection.
  Task<void> splice();

 private:
  struct Output;

  // What run() does with the answer.
  Task<void> answered(Next& next);
  Task<Next> upgrade();
  Task<Next> pass_on();
  // Takes what has come of the body into `out`, framed for the caller. True: that was its end.
  Result<bool> take(Output& out);
  // Reads on while the caller is behind.
  Task<void> read_ahead(AnswerBuffer& buffer);
  void application_is_done(bool whole);
  void tell_done();

  Caller& caller_;
  Front& front_;
  Done done_;
  AppExchange exchange_;
  Front::ExchangeEnd end_;
  WorkMeter meter_;
  bool in_chunks_ = false;
};

}  // namespace mesclun::companion
