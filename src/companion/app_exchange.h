// One request to the application, with its answer as it comes.
#pragma once

#include "companion/application_link.h"
#include "http/reader.h"

namespace mesclun::companion {

// Runs on: one loop. open(), then the answer's body piece by piece, then finish().
class AppExchange {
 public:
  explicit AppExchange(ApplicationLink& link) : link_(link) {}
  AppExchange(const AppExchange&) = delete;
  AppExchange& operator=(const AppExchange&) = delete;

  // Sends head and body and waits for the head of the answer, all until `deadline`. Tried once more
  // if a kept connection turns out to be closed. Unavailable, DeadlineExceeded, InvalidArgument.
  Task<Result<>> open(std::string head, std::string_view body, bool to_head_request,
                      TimePoint deadline);
  // Once open. Waits for its body with the deadline of conn().
  HttpReader& answer() { return *answer_; }
  Conn& conn() { return *conn_; }

  // After the end: the connection may serve another request.
  void finish();
  // After a 101: the connection, with what was read ahead.
  ConnPtr take_conn() { return with_read_ahead(std::move(conn_), input_->take_rest()); }

 private:
  Task<Result<>> open_once(const std::string& head, std::string_view body, bool to_head_request,
                           TimePoint deadline, bool fresh);

  ApplicationLink& link_;
  ConnPtr conn_;
  bool reused_ = false;
  std::optional<ConnInput> input_;
  std::optional<HttpReader> answer_;
};

}  // namespace mesclun::companion
