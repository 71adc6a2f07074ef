// HTTP/1.1 calls to our own API, to probes' targets and to small services. Whole messages, bounded.
#pragma once

#include "base/socket_conn.h"
#include "http/message.h"
#include "http/pool.h"
#include "http/reader.h"

namespace mesclun {

struct HttpCall {
  std::string method = "GET";
  std::string target = "/";
  HeaderList headers;  // Host, Content-Length and Connection are filled in if missing
  std::string body;
};

struct HttpReply {
  int status = 0;
  HeaderList headers;
  std::string body;
};

// One call over a connection that the caller opened. An answer counts also if it comes before all of
// the call is sent. `keep_alive` says whether the connection can carry another.
Task<Result<HttpReply>> http_call(Conn& conn, HttpCall call, std::string host,
                                  size_t body_bytes_max, bool& keep_alive);

// Sends a call and waits for the head of its answer, which `answer` has then; its body is left to the
// caller.
Task<Result<>> http_begin(Conn& conn, const HttpCall& call, std::string_view host,
                          HttpReader& answer);

// The status of the answer to a call, of which nothing more is read: the connection is of no further
// use.
Task<Result<int>> http_status_of(Conn& conn, HttpCall call, std::string host);

// As the Authorization header has user and password (RFC 7617).
std::string basic_authorization(std::string_view user, std::string_view password);

// Asks for another protocol over `conn`: "GET target, Upgrade: protocol". Returns the connection
// after the 101; PermissionDenied, Unauthenticated or Unavailable when the server answers anything
// else.
Task<Result<ConnPtr>> http_upgrade(ConnPtr conn, std::string host, std::string target,
                                   std::string protocol, HeaderList headers);

// Keeps one connection to one server open between calls.
class HttpClient {
 public:
  HttpClient(Clock& clock, Endpoint endpoint, Duration timeout,
             size_t body_bytes_max = 64 * 1024 * 1024)
      : clock_(clock),
        endpoint_(std::move(endpoint)),
        timeout_(timeout),
        body_bytes_max_(body_bytes_max) {}

  // Tries once more on a fresh connection if a kept one turned out to be closed before any answer
  // came and the method is idempotent.
  Task<Result<HttpReply>> call(HttpCall call);

 private:
  Task<Result<HttpReply>> call_once(HttpCall call, bool& was_reused);

  Clock& clock_;
  Endpoint endpoint_;
  Duration timeout_;
  size_t body_bytes_max_;
  ConnPool pool_;  // of one
};

}  // namespace mesclun
