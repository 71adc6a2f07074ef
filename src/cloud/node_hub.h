// The sessions of agents: brings what they say to the fleet, and what the fleet wants to them.
#pragma once

#include <functional>

#include "base/scope.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_classes.h"
#include "cloud/log_table.h"
#include "cloud/workload_tokens.h"
#include "link/session.h"

namespace mesclun::cloud {

struct NodeHubSettings {
  std::string join_token;     // lets unknown machines in
  std::string tunnel_secret;  // signs the tickets that gateways check
  Duration heartbeat = 5s;
  Duration ticket_life = std::chrono::minutes(15);
  size_t sessions_max = 20'000;
};

// Runs on: the cloud's loop.
class NodeHub {
 public:
  NodeHub(const asio::any_io_executor& executor, Clock& clock, NodeHubSettings settings,
          Fleet& fleet, FleetLoop& loop, const GpuClasses& gpu_classes, WorkloadTokens& tokens,
          LogTable& logs);

  // One agent's session, from its Hello to its end. Bounded in number; more are refused.
  void serve(link::SessionPtr session);
  // Unknown machines need this one from now on; known ones need none.
  void set_join_token(std::string token) { settings_.join_token = std::move(token); }
  // Says Goodbye with that error, by whose code the agent dials again at once or slowly, and ends
  // the session that the node has, if any.
  void expel(const std::string& node_id, const Error& why);
  // Where agents dial tunnels; told to all of them.
  void set_gateways(std::vector<std::string> endpoints);
  // Nodes with a GPU of no class say hello again: there may be one for it now.
  void gpu_classes_changed();
  Task<void> stop() { return scope_.stop(); }

  void send_desired(const std::string& node_id, int64_t session, const link::Desired& desired);
  void acknowledge(const std::string& node_id, int64_t session, int64_t sequence);
  size_t sessions() const { return scope_.running(); }

 private:
  struct Live {
    int64_t number = 0;
    link::Session* session = nullptr;
  };
  struct Joined {
    std::string id;      // of the machine; empty until it is let in
    int64_t number = 0;  // of its session
  };

  Task<Result<>> run_session(link::SessionPtr session);
  Task<Result<>> talk(link::Session& session, Joined& node);
  Task<Result<>> close_soon(Joined node);
  Task<Result<>> listen(link::Session& session, const Joined& node);
  Task<Result<>> handle(link::Session& session, const Joined& node, link::Message message);
  void warn_of_refused(const Joined& node, bool& warned) const;
  Result<> check(const link::Hello& hello) const;
  Result<> resolve_gpus(link::NodeFacts& facts) const;
  link::Welcome make_welcome(const std::string& node_id) const;
  void answer_token(link::Session& session, const std::string& node_id,
                    const link::TokenRequest& request);

  Clock& clock_;
  NodeHubSettings settings_;
  Fleet& fleet_;
  FleetLoop& loop_;
  const GpuClasses& gpu_classes_;
  WorkloadTokens& tokens_;
  LogTable& logs_;
  std::map<std::string, Live> live_;  // by node
  std::vector<std::string> gateways_;
  int64_t last_number_ = 0;
  Scope scope_;  // last: its tasks use the others
};

}  // namespace mesclun::cloud
