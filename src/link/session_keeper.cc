#include "link/session_keeper.h"

#include "base/log.h"
#include "base/race.h"

namespace mesclun::link {

namespace {

constexpr Duration kDialMax = 10s;

}  // namespace

SessionKeeper::SessionKeeper(std::string area, Clock& clock, Random& random, Dialer& dialer,
                             RedialSettings settings)
    : area_(std::move(area)), clock_(clock), random_(random), dialer_(dialer), redial_(settings) {}

Task<Result<>> SessionKeeper::run(Body body) {
  while (true) {
    const Result<> ended = co_await dial_and_converse(body);
    if (co_await cancel_requested()) co_return Error::cancelled();
    const Error error = ended ? Error::unavailable("the session ended") : ended.error();
    CO_TRY_DO(co_await clock_.sleep_for(after(error)));
  }
}

Task<Result<>> SessionKeeper::dial_and_converse(const Body& body) {
  CO_TRY(const SessionPtr session, co_await within(clock_, kDialMax, dialer_.dial()));
  co_return co_await converse(*session, body(*session));
}

void SessionKeeper::stands(const Session& session) {
  redial_.stands(clock_.now());
  state_ = "connected";
  log_info(area_, "connected to the cloud", {{"address", session.peer_address()}});
}

Duration SessionKeeper::after(const Error& error) {
  const Redial::Step step = redial_.after(error, clock_.now(), random_);
  if (step.news && step.refused) {
    log_error(area_, "the cloud refuses us; trying again slowly",
              {{"code", to_string(error.code)},
               {"reason", error.message},
               {"again_in_s", to_seconds(step.wait)}});
  } else if (step.news) {
    log_warning(area_, "no session with the cloud; what runs keeps running",
                {{"reason", error.message}});
  }
  state_ = (step.refused ? "refused by the cloud: " : "not connected: ") + error.message;
  return step.wait;
}

}  // namespace mesclun::link
