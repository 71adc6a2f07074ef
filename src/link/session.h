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
  // DeadlineExceeded when nothing came for so long; the session is of no use then.
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

// Two ends in memory, for tests and the simulator. `deliver` decides the fate of every message: it
// returns the delay until it arrives, or nothing if it is lost and the session breaks with it.
using Fate = std::function<std::optional<Duration>()>;
std::pair<SessionPtr, SessionPtr> memory_session_pair(const asio::any_io_executor& executor,
                                                      Clock& clock, Fate fate = {});

// How an agent or a gateway reaches the other side; replaced in the simulator.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // Unavailable: refused or unreachable.
  virtual Task<Result<SessionPtr>> dial() = 0;
};

// HTTP/1.1 Upgrade on the node port: "GET path, Upgrade: mesclun-session".
inline constexpr std::string_view kSessionPath = "/v1/session";
inline constexpr std::string_view kRoutesPath = "/v1/routes";
inline constexpr std::string_view kTunnelPath = "/v1/tunnel";
inline constexpr std::string_view kSessionProtocol = "mesclun-session/1";
inline constexpr std::string_view kTunnelProtocol = "mesclun-tunnel/1";

// What an agent shows a gateway: "<machine_id>|<expiry, unix s>|<HMAC-SHA-256 by the tunnel secret,
// hex>".
std::string make_tunnel_ticket(std::string_view secret, std::string_view machine_id,
                               int64_t expires_unix_s);
// The machine id; Unauthenticated if it is forged or has expired.
Result<std::string> check_tunnel_ticket(std::string_view secret, std::string_view ticket,
                                        int64_t now_unix_s);

}  // namespace mesclun::link
