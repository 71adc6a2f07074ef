// A session: messages in order, both ways, between an agent or a gateway and the cloud.
#pragma once

#include <functional>

#include "base/conn.h"
#include "link/frame.h"

namespace mesclun::link {

struct SessionLimits {
  // Of a frame that is received, until let_in(). An answering end, which does not know yet whom it
  // hears, sets kFirstFrameBytesMax.
  size_t first_frame_bytes_max = kFrameBytesMax;
  // What waits to be sent.
  size_t queued_messages_max = 256;
  size_t queued_bytes_max = 2 * kFrameBytesMax;
};

// Runs on: one loop; one receive at a time, sends from any number of tasks.
// Errors:  Unavailable once either side closed or the network broke it; InvalidArgument for a frame
//          that is too large or no message (the session is closed then); DeadlineExceeded when a
//          send makes no progress.
class Session {
 public:
  virtual ~Session() = default;
  virtual Task<Result<Message>> receive() = 0;
  // DeadlineExceeded when no whole message came for so long. Nothing is lost by that, nor by a
  // cancelled receive(): the next one goes on where this one was.
  virtual Task<Result<Message>> receive_within(Duration limit) = 0;
  // Queues the message. OutOfRange: it fits no frame, which is logged; nothing is sent and the
  // session goes on. ResourceExhausted, and the session ends: the limits of the queue.
  virtual Result<> send(const Message& message) = 0;
  // Whoever has much to say waits here before each piece: until the queue is at most half full.
  virtual Task<Result<>> wait_for_room() = 0;
  // The same until at most so many bytes wait: for what must not stand in the way of others.
  virtual Task<Result<>> wait_until_below(size_t bytes) = 0;
  virtual bool has_room() const = 0;
  // The peer is known: it may send frames of kFrameBytesMax from now on.
  virtual void let_in() = 0;
  // Carries queued messages to the peer until the session ends; runs beside receive().
  virtual Task<Result<>> pump() = 0;
  virtual void close() = 0;
  virtual std::string peer_address() const = 0;
};
using SessionPtr = std::unique_ptr<Session>;

SessionPtr make_conn_session(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock,
                             SessionLimits limits = {});

// Two ends in memory, for tests and the simulator: messages, but for heartbeats, are carried as
// frames, under the limits of frames and queues, and without bytes in between. `fate` is asked for every message: the delay
// until it arrives, or nothing if it is lost and the session breaks with it.
using Fate = std::function<std::optional<Duration>()>;
std::pair<SessionPtr, SessionPtr> memory_session_pair(const asio::any_io_executor& executor,
                                                      Clock& clock, Fate fate = {},
                                                      SessionLimits limits = {});

}  // namespace mesclun::link
