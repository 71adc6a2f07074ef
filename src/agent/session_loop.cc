#include "agent/session_loop.h"

#include "base/log.h"
#include "base/race.h"
#include "base/service.h"

namespace mesclun::agent {

namespace {

constexpr Duration kDialLimit = 10s;
constexpr Duration kHelloLimit = 10s;
constexpr int kSilentHeartbeats = 3;

// The cloud will say the same to the next try, until a person changes something.
bool is_refusal(ErrorCode code) {
  switch (code) {
    case ErrorCode::Unauthenticated:
    case ErrorCode::PermissionDenied:
    case ErrorCode::InvalidArgument:
    case ErrorCode::FailedPrecondition:
    case ErrorCode::Unimplemented:
      return true;
    default:
      return false;
  }
}

Error goodbye_error(const link::Goodbye& goodbye) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::Internal); ++code) {
    const auto candidate = static_cast<ErrorCode>(code);
    if (to_string(candidate) == goodbye.code) return {candidate, goodbye.reason};
  }
  return Error::unavailable(goodbye.reason);
}

Task<void> beside(Task<Result<>> helper) {
  std::ignore = co_await std::move(helper);
  co_await until_cancelled();
}

// Runs `main` to its end with `helper` beside it. Only `main` tells why a session ended: it reads,
// and reads on to a Goodbye after a write has failed. A helper that fails has closed the session,
// so `main` ends too.
Task<Result<>> with_helper(Task<Result<>> main, Task<Result<>> helper) {
  std::optional<Result<>> result;
  co_await race(detail::store_result(std::move(main), result), beside(std::move(helper)));
  if (!result) co_return Error::cancelled();
  co_return std::move(*result);
}

}  // namespace

SessionLoop::SessionLoop(const asio::any_io_executor& executor, Clock& clock, Random& random,
                         link::Dialer& dialer, SessionUser& user, const AgentSettings& settings)
    : executor_(executor),
      clock_(clock),
      random_(random),
      dialer_(dialer),
      user_(user),
      settings_(settings),
      back_off_(settings.back_off_min, settings.back_off_max) {}

Task<Result<>> SessionLoop::run() {
  while (true) {
    Result<link::SessionPtr> session = co_await within(clock_, kDialLimit, dialer_.dial());
    Error error = Error::cancelled();
    if (session) {
      const Result<> ended = co_await converse(**session);
      (*session)->close();
      if (!ended) error = ended.error();
    } else {
      error = session.error();
    }
    if (co_await cancel_requested()) co_return Error::cancelled();
    CO_TRY_DO(co_await clock_.sleep_for(after(error)));
  }
}

// How long to wait after that error, said once for each new state.
Duration SessionLoop::after(const Error& error) {
  const bool refused = is_refusal(error.code);
  std::string state = refused ? "refused by the cloud: " : "not connected: ";
  state += error.message;
  if (state != state_) {
    if (refused) {
      log_error("agent", "the cloud refuses this node; trying again slowly",
                {{"code", to_string(error.code)},
                 {"reason", error.message},
                 {"again_in_s", to_seconds(settings_.refused_back_off)}});
    } else {
      log_warning("agent", "no session with the cloud; instances keep running",
                  {{"reason", error.message}});
    }
    state_ = std::move(state);
  }
  return refused ? settings_.refused_back_off : back_off_.next(random_);
}

// One pump for the whole session: it carries the hello too.
Task<Result<>> SessionLoop::converse(link::Session& session) {
  CO_TRY_DO(session.send(link::Message(user_.hello())));
  co_return co_await with_helper(talk(session), session.pump());
}

Task<Result<>> SessionLoop::talk(link::Session& session) {
  CO_TRY(const link::Message first, co_await session.receive_within(kHelloLimit));
  if (const auto* goodbye = std::get_if<link::Goodbye>(&first)) co_return goodbye_error(*goodbye);
  const auto* welcome = std::get_if<link::Welcome>(&first);
  if (welcome == nullptr) {
    co_return Error::unavailable("the cloud did not answer the hello with a welcome");
  }
  back_off_.reset();
  state_ = "connected";
  log_info("agent", "connected to the cloud", {{"address", session.peer_address()}});
  const Duration heartbeat = welcome->heartbeat_ms > 0
                                 ? Duration(std::chrono::milliseconds(welcome->heartbeat_ms))
                                 : settings_.heartbeat;
  user_.connected(session, *welcome);
  const Result<> ended =
      co_await with_helper(listen(session, kSilentHeartbeats * heartbeat), user_.speak(session));
  user_.disconnected();
  co_return ended;
}

Task<Result<>> SessionLoop::listen(link::Session& session, Duration silence) {
  while (true) {
    Result<link::Message> message = co_await session.receive_within(silence);
    if (!message) {
      if (message.code() != ErrorCode::DeadlineExceeded) co_return message.error();
      co_return Error::unavailable(
          fmt::format("the cloud said nothing for {:.0f} s", to_seconds(silence)));
    }
    if (const auto* goodbye = std::get_if<link::Goodbye>(&*message)) {
      co_return goodbye_error(*goodbye);
    }
    user_.received(std::move(*message));
  }
}

}  // namespace mesclun::agent
