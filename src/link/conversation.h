// The life of a session, which is the same whatever it is about. A role writes the body of its
// conversation, from hello to the last word, with what stands here:
//
//   dialling end: agent, gateway                     answering end: cloud
//     SessionKeeper dials; converse(body)              answer(body)
//     │ says hello ─────────────────────────────────►  │ hear_first, within 10 s
//     │                                                ├─ not let in: Goodbye ──► ended
//     │ hear_first  ◄──────── Welcome, or the routes ──┤
//     ▼                                                ▼
//   stands                                           stands
//     │ hear ◄── Desired, RouteUpdate, … ────────────  │
//     │ ──────────────────────── Report, LogBatch, … ─►│ hear
//     │ beat ── Heartbeat, each heartbeat ───────────► │
//     │     ◄────────────────── a Heartbeat for each ──┤
//     ├─ silence of 3 heartbeats                       ├─ silence of 4 heartbeats, or what must not
//     │  a Goodbye, a break                            │  be said: Goodbye; a break
//     ▼                                                ▼
//   ended: backs off, dials anew                     ended
//
// The dialling end gives up first, because it can mend things: it dials.
#pragma once

#include <functional>

#include "link/session.h"

namespace mesclun::link {

constexpr Duration silence_of_answerer(Duration heartbeat) {
  return 3 * heartbeat;
}
constexpr Duration silence_of_dialler(Duration heartbeat) {
  return 4 * heartbeat;
}

// Runs `body` with the session's pump beside it and closes the session at its end. The result is
// the body's: it listens, and only who listens knows why a session ended. A pump that fails closes
// the session, so that the body ends too.
Task<Result<>> converse(Session& session, Task<Result<>> body);
// The same on the answering end, which says Goodbye with the body's error, and gives it 200 ms to
// get out, where the session still carries anything.
Task<Result<>> answer(Session& session, Clock& clock, Task<Result<>> body);

// Runs `main` to its end with `helper` beside it. When and how the helper ends does not matter.
Task<Result<>> beside(Task<Result<>> main, Task<Result<>> helper);

// What is said next. Silence counts from the call: the time that we took over the message before is
// not the peer's. Nor is a stall of ours: only time in which we listened counts.
// Errors: that of a Goodbye; Unavailable, nothing was heard for so long; the session's.
Task<Result<Message>> hear(Session& session, Duration silence_max);

// The first words, which must be a T; else `otherwise`.
inline constexpr Duration kFirstWordsMax = 10s;
template <class T>
Task<Result<T>> hear_first(Session& session, Error otherwise) {
  CO_TRY(Message first, co_await hear(session, kFirstWordsMax));
  if (auto* expected = std::get_if<T>(&first)) co_return std::move(*expected);
  co_return otherwise;
}

Heartbeat heartbeat_at(const Clock& clock);
// Says that we live, until the session takes no more; then `each`.
Task<Result<>> beat(Session& session, Clock& clock, Duration every,
                    std::function<void()> each = {});

}  // namespace mesclun::link
