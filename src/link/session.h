// A session: messages in order, both ways, between an agent or a gateway and the cloud.
#pragma once

#include <functional>

#include "base/conn.h"
#include "link/messages.h"

namespace mesclun::link {

// Runs on: one loop; one receive at a time, sends from any number of tasks.
// Errors:  Unavailable once either side closed or the network broke it; InvalidArgument for a frame
//          that is no message (the session is closed then); DeadlineExceeded when a send makes no
//          progress.
class Session {
 public:
  virtual ~Session() = default;
  virtual Task<Result<Message>> receive() = 0;
  // DeadlineExceeded when no whole message came for so long. Nothing is lost by that, nor by a
  // cancelled receive(): the next one goes on where this one was.
  virtual Task<Result<Message>> receive_within(Duration limit) = 0;
  // Queues the message; ResourceExhausted, and the session ends, when 256 are waiting already.
  virtual Result<> send(const Message& message) = 0;
  // Carries queued messages to the peer until the session ends; runs beside receive().
  virtual Task<Result<>> pump() = 0;
  virtual void close() = 0;
  virtual std::string peer_address() const = 0;
};
using SessionPtr = std::unique_ptr<Session>;

// A frame is a length of four bytes, big-endian, and that many bytes of JSON.
inline constexpr size_t kFrameBytesMax = 4 * 1024 * 1024;

SessionPtr make_conn_session(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock);

// Two ends in memory, for tests and the simulator. `fate` is asked for every message: the delay
// until it arrives, or nothing if it is lost and the session breaks with it.
using Fate = std::function<std::optional<Duration>()>;
std::pair<SessionPtr, SessionPtr> memory_session_pair(const asio::any_io_executor& executor,
                                                      Clock& clock, Fate fate = {});

}  // namespace mesclun::link
