// The instance metadata service, as the application sees it at 169.254.169.254 (imds.md §2 to §6).
#pragma once

#include "agent/next_step.h"
#include "http/server.h"

namespace mesclun::agent {

// How strictly the `Metadata: true` header is asked for (imds.md, open point 9). Forwarded headers
// are always refused.
enum class HeaderRule {
  Strict,
  RelaxedForActions,  // not on the three POSTs: Kelpie built from current sources leaves it out
  Off,
};

// The instance that is served; what runs behind it.
class MetadataHost {
 public:
  virtual ~MetadataHost() = default;
  // False once the run is over: everything answers 404 then.
  virtual bool present() const = 0;
  virtual bool started() const = 0;
  virtual bool ready() const = 0;
  virtual int32_t deletion_cost() const = 0;
  virtual void set_deletion_cost(int32_t cost) = 0;
  // Noted now, carried out a moment later; a second one while the first is pending changes nothing.
  virtual void ask(SelfAction action, std::string reason) = 0;
  virtual Task<Result<std::string>> token() = 0;
};

// One request; the whole service apart from the network. `host` outlives the task.
Task<HttpResponse> answer_metadata(MetadataHost& host, HeaderRule rule, HttpRequest request);

// A problem object with a kebab-case code.
HttpResponse metadata_problem(int status, std::string_view code, std::string_view detail);

// Serves one run. Runs on: the agent's loop. `host` and `clock` outlive it; stop() before
// destruction.
class MetadataService {
 public:
  MetadataService(const asio::any_io_executor& executor, Clock& clock, MetadataHost& host,
                  HeaderRule rule);
  void serve(Listener listener) { server_.serve(std::move(listener)); }
  void serve(ConnPtr conn) { server_.serve(std::move(conn)); }
  Task<void> stop() { return server_.stop(); }

 private:
  HttpServer server_;
};

}  // namespace mesclun::agent

template <>
struct mesclun::JsonEnum<mesclun::agent::HeaderRule> {
  using enum mesclun::agent::HeaderRule;
  static constexpr std::pair<mesclun::agent::HeaderRule, std::string_view> kNames[] = {
      {Strict, "strict"}, {RelaxedForActions, "relaxed-for-actions"}, {Off, "off"}};
};
