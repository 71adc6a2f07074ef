// One request to the application, with its answer as it comes.
#pragma once

#include "companion/application_link.h"
#include "http/parser.h"

namespace mesclun::companion {

// Runs on: one loop. open(), then read_body() until it says that the end is there.
class AppExchange {
 public:
  AppExchange(Clock& clock, ApplicationLink& link) : clock_(clock), link_(link) {}

  // Sends head and body and waits for the head of the answer, all until `deadline`. Tried once more
  // if a kept connection turns out to be closed. Unavailable, DeadlineExceeded, InvalidArgument.
  Task<Result<>> open(std::string head, std::string_view body, bool to_head_request,
                      TimePoint deadline);
  ResponseHead& head() { return parser_->response_head(); }
  BodyFraming framing() const { return parser_->framing(); }
  bool has_body() const { return !parser_->body_done(); }
  // read_body() has something without waiting.
  bool body_at_hand() const { return bytes_.size() > used_ || parser_->body_done(); }

  // Appends to `pieces` what has come of the body, waiting for at least something for at most
  // `idle`. The pieces hold until the next call. True: that was the end.
  Task<Result<bool>> read_body(std::vector<std::string_view>& pieces, Duration idle);
  // After the end: the connection may serve another request.
  void finish();

  // After a 101: the connection, with what was read ahead.
  ConnPtr take_conn() { return with_read_ahead(std::move(conn_), std::move(bytes_)); }

 private:
  // Appends to bytes_. False at the end of the stream.
  Task<Result<bool>> fill();
  Task<Result<>> open_once(const std::string& head, std::string_view body, bool to_head_request,
                           TimePoint deadline, bool fresh, bool& untouched);
  int head_status() { return parser_->response_head().status; }

  Clock& clock_;
  ApplicationLink& link_;
  ConnPtr conn_;
  std::optional<HttpParser> parser_;
  std::string bytes_;  // read, and not yet parsed
  size_t used_ = 0;    // of them, by the pieces given out last
};

}  // namespace mesclun::companion
