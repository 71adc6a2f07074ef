// The caller's end of a connection: its requests as they come, the front's answers as they go.
#pragma once

#include <string>

#include "companion/forward.h"
#include "companion/front.h"
#include "http/parser.h"

namespace mesclun::companion {

// What becomes of the connection after an answer.
enum class Next {
  KeepAlive,
  Close,
  Linger,  // close, although part of the input is unread
  Gone,    // the caller left, or its answer broke off
};

struct CallerRequest {
  RequestHead head;
  bool keep_alive = false;
  BodyFraming framing;
  CallerWish wish;
  TimePoint deadline{};
  std::string body;

  std::string_view path() const;
  bool to_head() const { return head.method == "HEAD"; }
  // Its framing says one, perhaps of 0 bytes.
  bool has_body() const { return framing.kind != BodyFraming::Kind::None; }
};

// Runs on:   the front's loop; one request at a time.
// Lifetime:  the front outlives it.
class Caller {
 public:
  Caller(ConnPtr conn, Front& front);

  // Reads something. False: the end.
  Task<Result<bool>> fill();
  bool has_input() const { return !input_.empty(); }
  // Whether it begins as HTTP/2 with prior knowledge does (RFC 9113 §3.4).
  Task<Result<bool>> is_http2();
  // Reads the next request up to its body. False: the end.
  Task<Result<bool>> read_head();
  // Nothing: the body is there.
  Task<std::optional<Refusal>> read_body(BodyBuffer::Share& share);
  // Reads ahead until the caller closes the connection, or its own side of it; then `gone`.
  Task<void> watch(bool& gone);

  // A refusal; the rest of an unread body makes the connection useless.
  Task<Next> refuse(Refusal refusal, bool body_unread);
  // A whole answer, counted by its status.
  Task<Next> send(std::string bytes, int status, Next after);

  CallerRequest& request() { return request_; }
  Conn& conn() { return *conn_; }
  // With what was read ahead. Nothing else may be called after it.
  ConnPtr take_conn() { return with_read_ahead(std::move(conn_), std::move(input_)); }

 private:
  ConnPtr conn_;
  Front& front_;
  Clock& clock_;
  std::string input_;  // read, and not yet used
  HttpParser parser_;
  CallerRequest request_;
};

}  // namespace mesclun::companion
