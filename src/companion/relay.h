// One request with the application: sent on, and the answer passed to the caller as it comes.
#pragma once

#include "companion/app_exchange.h"
#include "companion/caller.h"

namespace mesclun::companion {

// Runs on:   the front's loop; one of run() and upgrade(), once.
// Lifetime:  the caller and the front outlive it.
class Relay {
 public:
  Relay(Caller& caller, Front& front) : caller_(caller), front_(front), exchange_(front.link()) {}

  // For a request whose body is there. `next` and `end` stay as they are if it is cancelled, which
  // is how the caller's leaving ends it.
  Task<void> run(Next& next, Front::ExchangeEnd& end);
  // A websocket lasts as long as both like.
  Task<Next> upgrade();

 private:
  Task<Next> pass_on(std::optional<double>& work);

  Caller& caller_;
  Front& front_;
  AppExchange exchange_;
};

}  // namespace mesclun::companion
