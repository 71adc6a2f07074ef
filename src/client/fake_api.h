// For tests: an HTTP server on a thread of its own that answers as a test says, and a way to run
// commands against it with captured output.
#pragma once

#include <deque>
#include <mutex>

#include "base/real_clock.h"
#include "base/service.h"
#include "client/commands.h"
#include "http/server.h"

namespace mesclun::client {

struct FakeAnswer {
  int status = 200;
  std::string body;
  std::string retry_after = {};
  std::string gateway_error = {};
};

struct SeenRequest {
  std::string line;  // "GET /path?query"
  std::string key;
  std::string host;
  std::string media_type;
  std::string body;
};

// Answers a request line with what was scripted for it, in order; the last answer repeats.
// Everything else is a 404 problem, as the API has it.
class FakeApi {
 public:
  FakeApi();
  ~FakeApi();

  void on(const std::string& line, FakeAnswer answer);
  const Endpoint& endpoint() const { return endpoint_; }
  std::vector<SeenRequest> seen() const;
  // Blocks until the request came `count` times. Gives up after 20 s.
  bool wait_for(const std::string& line, size_t count) const;

 private:
  Task<HttpResponse> answer(HttpRequest request);

  // Constant after construction.
  RealClock clock_;
  LoopThread loop_{"fake-api"};
  Endpoint endpoint_;

  // By mutex_: the test's thread and the loop's.
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<FakeAnswer>> answers_;
  std::vector<SeenRequest> seen_;

  std::unique_ptr<HttpServer> server_;  // on the loop's thread
};

struct CommandResult {
  int status = -1;
  std::string out;
  std::string err;
};

using Command = int (*)(int, char**, const Console&, const Environment&);

// Runs `command` with these words after its name, and nothing in the environment but `variables`.
CommandResult run_command(Command command, std::vector<std::string> words,
                          const std::map<std::string, std::string>& variables,
                          const std::string& input = "", bool is_terminal = false);

// The context of a user and operator of the fake.
std::map<std::string, std::string> fake_environment(const FakeApi& api);

}  // namespace mesclun::client
