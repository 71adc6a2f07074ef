// WebSockets (RFC 6455) over any connection: messages both ways. Framing, masks and handshakes are
// Boost.Beast's.
#pragma once

#include <memory>
#include <string>

#include "base/conn.h"
#include "http/server.h"

namespace mesclun {

struct WebSocketMessage {
  bool text = false;  // else binary
  std::string data;
};

// What a WebSocket is closed with, as far as we use them (RFC 6455 §7.4.1).
enum class CloseCode : uint16_t {
  Normal = 1000,
  GoingAway = 1001,
  Policy = 1008,
  Internal = 1011,
};

// Runs on:  one loop. One read, one write, one ping at a time, which may overlap each other; close()
//           beside a read only.
// Errors:   Unavailable, the other side closed it (the message has its code and reason) or broke the
//           connection; InvalidArgument, it broke the protocol; OutOfRange, a message was too long;
//           Cancelled. A read that was cancelled has broken the WebSocket.
// Lifetime: nothing of it is awaited any more at its end.
class WebSocket {
 public:
  virtual ~WebSocket() = default;

  // Answers questions after our life on the way.
  virtual Task<Result<WebSocketMessage>> read() = 0;
  virtual Task<Result<>> write(WebSocketMessage message) = 0;
  // Asks whether the other side lives: heard() moves then, while somebody reads.
  virtual Task<Result<>> ping() = 0;
  // Grows with all that is heard, answers to ping() too.
  virtual uint64_t heard() const = 0;
  // Says goodbye and waits until it was heard; bound it. `reason`: at most 123 bytes.
  virtual Task<Result<>> close(CloseCode code, std::string reason) = 0;
  // Ends it at once; what waits fails.
  virtual void abort() = 0;
  // What is known without reading: the other side is there no more.
  virtual bool peer_is_gone() const = 0;
};
using WebSocketPtr = std::unique_ptr<WebSocket>;

// The answering end. `request` is the one that asks for it, unanswered; a wrong one is answered with
// its error here (InvalidArgument). `bytes_max`: of a message that is read.
Task<Result<WebSocketPtr>> accept_websocket(ConnPtr conn, HttpRequest request, size_t bytes_max);
// Whether it asks for one at all.
bool asks_for_websocket(const HttpRequest& request);

// The dialling end, over a fresh connection. Another answer than a WebSocket is `refused`, and an error
// that says so.
struct WebSocketRefusal {
  int status = 0;
  std::string body;
};
Task<Result<WebSocketPtr>> dial_websocket(ConnPtr conn, std::string host, std::string target,
                                          HeaderList headers, size_t bytes_max,
                                          WebSocketRefusal& refused);

}  // namespace mesclun
