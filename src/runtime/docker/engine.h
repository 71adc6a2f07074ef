// Calls to a container engine: the Docker Engine API 1.41 on its unix socket, which Podman serves
// too. What each call means is in the engine's own reference; only what we use is here.
#pragma once

#include "base/json.h"
#include "http/client.h"

namespace mesclun::runtime {

struct EngineCall {
  std::string method = "GET";
  std::string target;  // without the version: "/containers/json?all=1"
  std::string body;    // JSON unless `content_type` says otherwise
  std::string content_type = "application/json";
  std::string registry_auth = {};  // X-Registry-Auth; empty: none
};

// An answer whose body comes as long as the engine likes.
//
// Runs on: one loop; one read() at a time. close() ends a read() that waits.
class EngineStream {
 public:
  explicit EngineStream(ConnPtr conn);

  // More bytes; empty at the end.
  Task<Result<std::string>> read();
  void close() { conn_->close(); }

 private:
  friend class Engine;
  Task<Result<>> begin(const EngineCall& call);

  ConnPtr conn_;
  ConnInput input_;
  HttpReader reader_;
  bool done_ = false;
};

// Runs on:  one loop.
// Errors:   NotFound (404), AlreadyExists (409), InvalidArgument (400), Internal (500) with the
//           engine's own words; Unavailable, nobody answers at the socket; DeadlineExceeded.
class Engine {
 public:
  Engine(Clock& clock, Endpoint socket);

  // An answer as JSON; null where it has no body.
  Task<Result<json::value>> call(EngineCall call);
  // The same for what takes as long as it takes: no time-out.
  Task<Result<json::value>> long_call(EngineCall call);
  Task<Result<std::unique_ptr<EngineStream>>> open(EngineCall call);

 private:
  Clock& clock_;
  Endpoint socket_;
  HttpClient client_;  // of the short ones
};

// What it says of itself (GET /info). Unavailable: none answers at `socket`.
Task<Result<json::value>> ask_engine(Engine& engine, Endpoint socket);

}  // namespace mesclun::runtime
