// One request to the application, with its answer as it comes.
#pragma once

#include <functional>

#include "companion/application_link.h"
#include "http/reader.h"

namespace mesclun::companion {

struct AppRequest {
  std::string_view method;
  std::string head;
  std::string_view body;
  TimePoint deadline{};  // of the head of the answer
};

// Runs on: one loop; run() once.
class AppExchange {
 public:
  // Reads the body of the answer; finish() after its end.
  using Answered = std::function<Task<void>()>;

  explicit AppExchange(ApplicationLink& link) : link_(link) {}
  AppExchange(const AppExchange&) = delete;
  AppExchange& operator=(const AppExchange&) = delete;

  // Sends the request and waits for the head of the answer, then runs `answered`. What the
  // connection does not take at once is sent beside that: an application may answer before it has
  // read all of the request, and read no more.
  //
  // Tried once more if a kept connection turns out to be closed, and nothing of `request` was read or
  // it may be repeated.
  // `request` outlives it. Unavailable, DeadlineExceeded, InvalidArgument.
  Task<Result<>> run(const AppRequest& request, Answered answered);

  // While `answered` runs. Waits for its body with the deadline of conn().
  HttpReader& answer() { return *answer_; }
  Conn& conn() { return *conn_; }
  // The connection may serve another request.
  void finish();
  // After a 101: the connection, with what was read ahead.
  ConnPtr take_conn() { return with_read_ahead(std::move(conn_), input_->take_rest()); }

 private:
  Task<Result<>> run_once(const AppRequest& request, const Answered& answered, bool fresh);
  Task<void> send_rest(const AppRequest& request, size_t sent);
  Task<Result<>> receive(const Answered& answered);

  ApplicationLink& link_;
  ConnPtr conn_;
  bool reused_ = false;
  uint64_t written_ = 0;  // to conn_ before
  bool sent_whole_ = false;
  std::optional<ConnInput> input_;
  std::optional<HttpReader> answer_;
};

}  // namespace mesclun::companion
