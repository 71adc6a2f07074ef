// The caller's end of a connection: its requests as they come, the front's answers as they go.
#pragma once

#include <string>

#include "companion/forward.h"
#include "companion/front.h"
#include "http/idle_conns.h"
#include "http/linger.h"

namespace mesclun::companion {

// What becomes of the connection after an answer.
enum class Next {
  KeepAlive,
  Close,
  Linger,    // close, although part of the input is unread
  Upgraded,  // it speaks another protocol now
  Broken,    // the answer broke off: a reset tells even callers who know no length
  Gone,      // the caller left
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
  bool wants_load_report() const { return asks_for_load_report(head); }
  bool is_websocket() const { return is_websocket_request(head); }
  // Stands for what is asked, in this process.
  uint64_t input() const { return input_hash(head.method, head.target, body); }
  // Of the body when all of it is there.
  BodyFraming framing_as_whole() const;
};

// Runs on:   the front's loop; one request at a time.
// Lifetime:  the front outlives it.
class Caller {
 public:
  Caller(IdleConns::Entry entry, Front& front);
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Whether it begins as HTTP/2 with prior knowledge does (RFC 9113 §3.4).
  Task<Result<bool>> is_http2();
  // Reads the next request up to its body. False: the end.
  Task<Result<bool>> read_head();
  // Nothing: the body is there.
  Task<std::optional<Refusal>> read_body(BodyBuffer::Share& share);
  // Reads ahead until the caller has left; then `gone`. One that only ends its own side of the
  // connection still gets its answer.
  Task<void> watch(bool& gone);

  // A refusal; the rest of an unread body makes the connection useless.
  Task<Next> refuse(Refusal refusal, bool body_unread);
  // From here on nothing but the answer may be written; counts it.
  void answer_begins(int status);
  // A whole answer.
  Task<Next> send(std::string bytes, int status, Next after);

  // Ends a connection whose input is not read to its end.
  Task<void> linger();

  CallerRequest& request() { return request_; }
  // Nothing of the request is still to come.
  bool body_done() const { return reader_.body_done(); }
  Conn& conn() { return *conn_; }
  ConnInput& input() { return input_; }
  // With what was read ahead. Nothing else may be called after it.
  ConnPtr take_conn() { return with_read_ahead(entry_.take(), input_.take_rest()); }
  // Between two requests, of which nothing was read yet. Nothing else may be called after it.
  IdleConns::Entry take_rest() { return std::move(entry_); }

 private:
  Task<bool> still_listens();
  // Until when a body that has come so far must have come further.
  TimePoint slowest_end(TimePoint began) const;

  IdleConns::Entry entry_;
  Conn* const conn_;
  Front& front_;
  Clock& clock_;
  ConnInput input_;
  HttpReader reader_;  // of the request
  CallerRequest request_;
  bool answering_ = false;
};

}  // namespace mesclun::companion
