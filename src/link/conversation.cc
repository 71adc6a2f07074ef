#include "link/conversation.h"

#include <fmt/format.h>

#include "base/race.h"
#include "base/service.h"

namespace mesclun::link {

namespace {

// Nobody is silent before a wait of ours has run out this often: time in which our whole process
// stood still costs the peer one of them, however long it was, and what queued up meanwhile is read
// in the next. A heartbeat comes more often than these waits end, so that they cost nothing.
constexpr int kWaitsOfSilence = 2;

// For the pump to carry a Goodbye.
constexpr Duration kGoodbyeTime = 200ms;

Goodbye goodbye(const Error& error) {
  return {.code = std::string(to_string(error.code)), .reason = error.message};
}

// What a peer of another version may call its reason is no more than that the session ended.
Error error_of(const Goodbye& said) {
  const ErrorCode code = error_code_named(said.code).value_or(ErrorCode::Unavailable);
  return {code == ErrorCode::Cancelled ? ErrorCode::Unavailable : code, said.reason};
}

Task<void> until_cancelled_after(Task<Result<>> helper) {
  std::ignore = co_await std::move(helper);
  co_await until_cancelled();
}

Task<Result<>> say_goodbye_after(Session& session, Clock& clock, Task<Result<>> body) {
  Result<> ended = co_await std::move(body);
  if (ended || ended.code() == ErrorCode::Cancelled) co_return ended;
  if (session.send(goodbye(ended.error()))) CO_TRY_DO(co_await clock.sleep_for(kGoodbyeTime));
  co_return ended;
}

}  // namespace

Task<Result<>> beside(Task<Result<>> main, Task<Result<>> helper) {
  std::optional<Result<>> result;
  co_await race(detail::store_result(std::move(main), result),
                until_cancelled_after(std::move(helper)));
  if (!result) co_return Error::cancelled();
  co_return std::move(*result);
}

Task<Result<>> converse(Session& session, Task<Result<>> body) {
  Result<> ended = co_await beside(std::move(body), session.pump());
  session.close();
  co_return ended;
}

Task<Result<>> answer(Session& session, Clock& clock, Task<Result<>> body) {
  return converse(session, say_goodbye_after(session, clock, std::move(body)));
}

Task<Result<Message>> hear(Session& session, Duration silence_max) {
  Result<Message> message = Error::deadline("");
  for (int waits = 0; waits < kWaitsOfSilence; ++waits) {
    message = co_await session.receive_within(silence_max / kWaitsOfSilence);
    if (message || message.code() != ErrorCode::DeadlineExceeded) break;
  }
  if (!message && message.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::unavailable(
        fmt::format("nothing was heard for {:.0f} s", to_seconds(silence_max)));
  }
  if (message) {
    if (const auto* said = std::get_if<Goodbye>(&*message)) co_return error_of(*said);
  }
  co_return message;
}

Heartbeat heartbeat_at(const Clock& clock) {
  return {.time = to_unix_nanos(clock.wall_now())};
}

Task<Result<>> beat(Session& session, Clock& clock, Duration every, std::function<void()> each) {
  while (true) {
    CO_TRY_DO(co_await clock.sleep_for(every));
    CO_TRY_DO(session.send(heartbeat_at(clock)));
    if (each) each();
  }
}

}  // namespace mesclun::link
