// The sessions of agents: brings what they say to the fleet, and what the fleet wants to them.
#pragma once

#include <functional>

#include "base/scope.h"
#include "cloud/desired_sender.h"
#include "cloud/exec_link.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_classes.h"
#include "cloud/log_table.h"
#include "cloud/pull_grants.h"
#include "cloud/usage_table.h"
#include "cloud/workload_tokens.h"
#include "http/peer_limit.h"

namespace mesclun::cloud {

struct NodeHubSettings {
  std::string join_token;     // lets unknown machines in
  std::string tunnel_secret;  // signs the tickets that gateways check
  Duration heartbeat = 5s;
  Duration ticket_life = std::chrono::minutes(15);
  size_t sessions_max = 20'000;
  // Sessions that have not said yet who they are.
  PeerLimits strangers{.all = 1024, .of_address = 128};
};

// Runs on: the cloud's loop.
class NodeHub {
 public:
  NodeHub(const asio::any_io_executor& executor, Clock& clock, NodeHubSettings settings,
          Fleet& fleet, FleetLoop& loop, const GpuClasses& gpu_classes, WorkloadTokens& tokens,
          PullGrants& pull_grants, LogTable& logs, UsageTable& usage);

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
  void acknowledge_logs(const std::string& node_id, int64_t sequence);
  size_t sessions() const { return scope_.running(); }

  // Whether a command could be begun there now. Unavailable: it has no session; Unimplemented: its
  // agent is of a version that does not know how.
  Result<> check_exec(const std::string& node_id) const;
  // Fails also: ResourceExhausted, the node has too many.
  Result<std::unique_ptr<NodeExec>> open_exec(const std::string& node_id, link::ExecOpen order);

 private:
  struct Joined {
    std::string id;      // of the machine; empty until it is let in
    int64_t number = 0;  // of its session
    bool runs_commands = false;
  };
  // A session of a node that was let in; it lives in its task.
  struct Live {
    const Joined node;
    link::Session& session;
    DesiredSender sender;
    ExecLink execs;
    int64_t acknowledged = 0;  // the highest event that is stored
    bool warned_of_refused = false;
    link::GatherKnownSpecs known_specs{};
    link::GatherReport report{kReportBytesMax};
    link::GatherUsage usage{kReportBytesMax};
  };
  static constexpr size_t kReportBytesMax = 16 * 1024 * 1024;

  void refuse(link::Session& session);
  Task<Result<>> run_session(link::SessionPtr session, PeerLimit::Place place);
  Task<Result<>> let_in(link::Session& session, Joined& node, PeerLimit::Place place);
  Task<Result<>> talk(link::Session& session, Joined& node, PeerLimit::Place place);
  Task<Result<>> listen(Live& live);
  Task<Result<>> handle(Live& live, link::Message message);
  Task<Result<>> take_report(Joined node, link::Report report);
  Task<Result<>> close_soon(Joined node);
  Task<Result<>> speak(Live& live);
  void warn_of_refused(Live& live) const;
  Result<> check(const link::Hello& hello) const;
  Result<> resolve_gpus(link::NodeFacts& facts) const;
  link::Welcome make_welcome(const Live& live) const;
  SpecMessage find_spec(const link::SpecName& name);
  void answer_token(link::Session& session, const std::string& node_id,
                    const link::TokenRequest& request);
  void answer_pull(const Joined& node, const link::PullRequest& request);

  Clock& clock_;
  NodeHubSettings settings_;
  Fleet& fleet_;
  FleetLoop& loop_;
  const GpuClasses& gpu_classes_;
  WorkloadTokens& tokens_;
  PullGrants& pull_grants_;
  LogTable& logs_;
  UsageTable& usage_;
  PeerLimit strangers_;
  size_t refused_ = 0;  // since it was said in the log
  TimePoint refused_said_ = TimePoint::min();
  std::map<std::string, Live*> live_;                                   // by node
  std::map<link::SpecName, std::weak_ptr<const link::Message>> specs_;  // while nodes wait for them
  std::vector<std::string> gateways_;
  int64_t last_number_ = 0;
  Scope scope_;  // last: its tasks use the others
};

}  // namespace mesclun::cloud
