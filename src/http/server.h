// A small HTTP/1.1 server for our own endpoints: whole messages in, whole messages out, everything
// bounded. (The gateway's data path streams and is written apart.)
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/conn.h"
#include "base/scope.h"
#include "http/brief_room.h"
#include "http/message.h"
#include "http/url.h"

namespace mesclun {

struct HttpLimits {
  size_t head_bytes_max = 32 * 1024;
  size_t body_bytes_max = 1024 * 1024;
  size_t connections_max = 4096;
  // Beyond connections_max a few more are taken for one request each: of this path it is answered, so
  // that a full server is not taken for a dead one; any other gets 503. A constant; empty: none is.
  std::string_view health_path;
  Duration head_timeout = 10s;   // first byte of a request to the end of its head
  Duration body_timeout = 30s;   // end of the head to the end of the body
  Duration idle_timeout = 75s;   // between requests of one connection
  Duration write_timeout = 30s;  // an answer that the client does not take
};

struct HttpRequest {
  RequestHead head;
  std::string body;
  std::string peer;

  std::string_view path() const { return target_path(head.target); }
  std::optional<std::string> query(std::string_view name) const {
    return target_query(head.target, name);
  }
};

struct HttpResponse {
  int status = 200;
  HeaderList headers;
  std::string body;
  // After a 101: takes over the connection (with what was read ahead). Not awaited by the server. With
  // status 0 nothing was said: who takes it answers.
  std::function<void(ConnPtr)> upgrade;
};

// The body of an error answer in the service's own shape; used for what the server itself refuses
// (400 malformed, 408 too slow, 413 too large, 431 is folded into 400, 503 too many connections).
using HttpErrorBody = std::function<HttpResponse(const Error&)>;

// The connections of one server, as its end sees them.
struct HttpEnding {
  bool begun = false;
  std::set<Conn*> idle;  // wait for a request
};

// Serves one connection until it ends. `handler` runs on the connection's loop.
Task<Result<>> serve_http(ConnPtr conn, Clock& clock, HttpLimits limits,
                          std::function<Task<HttpResponse>(HttpRequest)> handler,
                          HttpErrorBody error_body, std::shared_ptr<HttpEnding> ending = {});

class HttpServer {
 public:
  using Handler = std::function<Task<HttpResponse>(HttpRequest)>;

  HttpServer(const asio::any_io_executor& executor, Clock& clock, std::string name,
             HttpLimits limits, Handler handler, HttpErrorBody error_body);

  // Serves connections of `listener`, several listeners at once if called several times.
  void serve(Listener listener);
  // Serves a connection that somebody else accepted.
  void serve(ConnPtr conn);
  // Takes no new connection, ends idle ones, and lets requests that are under way have their answers
  // for at most `drain`.
  Task<void> stop(Duration drain = 5s);
  size_t connections() const { return connections_.running(); }

 private:
  Task<Result<>> accept_loop(std::shared_ptr<Listener> listener);
  // One of those beyond connections_max.
  Task<Result<>> serve_beyond(ConnPtr conn);
  Task<Result<>> serve_briefly(ConnPtr conn);

  Clock& clock_;
  HttpLimits limits_;
  Handler handler_;
  HttpErrorBody error_body_;
  std::shared_ptr<HttpEnding> ending_ = std::make_shared<HttpEnding>();
  BriefRoom beyond_;
  Scope listeners_;
  Scope connections_;
};

}  // namespace mesclun
