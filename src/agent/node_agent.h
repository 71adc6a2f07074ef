// The agent of one machine: what should run here runs, what runs is reported.
#pragma once

#include <set>

#include "agent/instance_supervisor.h"
#include "agent/machine_watch.h"
#include "agent/node_session.h"
#include "agent/tunnel_keeper.h"

namespace mesclun::agent {

// Runs on:  one loop, without threads and, behind StateStore, without files: the simulator has
//           thousands.
// Promise:  nothing is started twice, whatever is repeated or restarted; without a cloud everything
//           runs on, until it was silent for too long (silence_rule.h).
// Lifetime: start() once, close() before destruction; the parts outlive it. After close() live
//           applications run on, and an agent over the same store and driver adopts them.
class NodeAgent final : private SessionSubject {
 public:
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    Random& random;
    runtime::ContainerDriver& driver;
    StateStore& store;
    link::Dialer& dialer;
    TunnelDialer* tunnels = nullptr;      // null: none are made
    LogSegments* log_segments = nullptr;  // null: lines wait for the cloud in memory
    // The join token as it is now, asked before each hello; null: it never changes.
    std::function<std::string()> fresh_join_token = {};
    // What is read of the machine now and then; null: nothing.
    UsageMeter::ReadMachine read_machine = {};
  };

  NodeAgent(Parts parts, AgentSettings settings, link::NodeFacts facts, std::string join_token);
  ~NodeAgent() override;

  // Reads the store, adopts what runs, then begins to dial. Unavailable: the store or the driver
  // gives no answer.
  Task<Result<>> start();
  // Takes nothing new and ends every instance, each with its grace; returns when all have ended or
  // `limit` is over.
  Task<Result<>> stop_instances(std::string reason, Duration limit);
  Task<void> close();

  // The owner's wish, kept over restarts. Draining lets go of everything that runs.
  Result<> set_mode(link::NodeMode mode);
  link::NodeMode mode() const { return stopping_ ? link::NodeMode::Draining : node_.mode; }
  const std::string& machine_id() const { return node_.machine_id; }
  const link::NodeFacts& facts() const { return facts_; }
  link::Report report() const override;
  std::string group_name(const std::string& allocation_id) const;
  const std::string& session_state() const { return session_.state(); }
  size_t tunnels_up() const { return tunnels_ ? tunnels_->up() : 0; }
  size_t events_waiting() const { return journal_.size(); }
  const LogShipper& logs() const { return logs_; }
  // Why the machine takes nothing new; empty: it does, as far as its owner lets it.
  const std::string& trouble() const { return watch_.trouble(); }

  // By the id of its current run; null if there is none.
  InstanceSupervisor* find_instance(std::string_view instance_id);

 private:
  // SessionSubject, with report()
  link::Hello hello() const override;
  link::KnownSpecs known_specs() const override;
  Result<> learn(link::Spec spec) override;
  void apply(const link::Desired& desired) override;
  void welcomed(const link::Welcome& welcome) override;
  Task<Result<std::unique_ptr<runtime::ExecStream>>> open_exec(std::string instance_id,
                                                               runtime::ExecSpec spec) override;

  Task<Result<>> adopt(std::vector<AllocationRecord> allocations);
  Task<Result<>> remove_unknown(std::string instance_id);
  Task<Result<>> reap();
  Task<Result<>> watch_silence();
  Task<Result<ConnPtr>> connect_instance(std::string instance_id, uint16_t port);

  void remember_spec(const Assignment& stored);
  std::optional<Assignment> with_spec(const link::Assignment& told) const;
  void add(const link::Assignment& told);
  void update(InstanceSupervisor& supervisor, const link::Assignment& told);
  void let_go_all(const std::string& reason);
  void changed();

  // Constant after construction.
  const Parts parts_;
  const AgentSettings settings_;
  const link::NodeFacts facts_;
  const std::string join_token_;

  // For the agent's whole life, over all sessions.
  NodeRecord node_;
  NodeIdentity identity_;
  EventJournal journal_;
  LogShipper logs_;
  TokenCache tokens_;
  PullRights pulls_;
  PrivateImages private_images_;
  MachineWatch watch_;
  UsageMeter usage_;
  InstanceSupervisor::Parts supervisor_parts_;
  std::map<std::string, std::unique_ptr<InstanceSupervisor>> supervisors_;  // by allocation id
  // What the newest Desired names, and what came since. Those that instances need they keep too.
  std::map<link::SpecName, link::Spec> specs_;
  std::unique_ptr<TunnelKeeper> tunnels_;
  NodeSession session_;
  bool stopping_ = false;       // nothing new is taken
  std::set<std::string> gone_;  // allocations that the cloud left out: forgotten once ended
  Notify changed_;
  Notify reapable_;
  Scope scope_;
};

}  // namespace mesclun::agent
