// One allocation on this node: carries out what the cloud and the instance itself ask for, run
// after run.
//
//            ┌────────────── RunAgain: restart, recreate, exit 0 under `always` ──────────────┐
//            ▼                                                                                │
//   Creating (create, metadata, start) ──► Running (probes) ──► Stopping (SIGTERM, grace, SIGKILL)
//                                                                       │ End
//                                                                       ▼
//                                                       Ended: Stopped, Succeeded, Failed, Replace
#pragma once

#include "agent/allocation_book.h"
#include "agent/instance_run.h"
#include "agent/private_images.h"
#include "agent/pull_rights.h"
#include "agent/run_maker.h"
#include "agent/token_cache.h"
#include "base/random.h"

namespace mesclun::agent {

// Runs on:  the agent's loop.
// Promise:  a run is in the book before the driver hears of it, and what becomes of it before the
//           run is ended, so that an agent that is killed at any instruction goes on where it was.
//           The state is reported, with `changed`, as soon as it is seen.
// Errors:   none leave; what fails ends the allocation with a reason.
// Lifetime: close() before destruction. All of Parts outlives it.
class InstanceSupervisor final : public MetadataHost, private InstanceRun::Observer {
 public:
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    Random& random;
    runtime::ContainerDriver& driver;
    StateStore& store;
    EventJournal& journal;
    TokenCache& tokens;
    PullRights& pulls;
    PrivateImages& private_images;
    std::function<Result<>()> save_node;  // with the private images
    LogShipper& logs;
    const AgentSettings& settings;
    const NodeIdentity& node;
    std::function<void()> changed;
    // The machine refused something, and what; what it lacks now, empty for nothing.
    std::function<void(const std::string& what)> blame_machine;
    std::function<std::string()> machine_trouble;
  };

  InstanceSupervisor(const Parts& parts, AllocationRecord record);
  ~InstanceSupervisor() override;

  // After a restart of the agent, before the first begin(): what an agent before us had no time to
  // say.
  void say_decided() { book_.say_decided(); }
  // Begins the first run, or goes on after a restart of the agent: with the run that the driver
  // still has, if any.
  void begin(std::optional<runtime::RunInfo> found);
  // Ends without a run: a node that takes nothing, a stop for what never ran here.
  void refuse(link::RunOutcome outcome, std::string reason);

  // What the cloud says now; the same again changes nothing.
  void update(const Assignment& assignment);
  void stop();                      // the cloud left it out
  void let_go(std::string reason);  // the machine's owner wants it elsewhere

  link::InstanceReport report() const { return {book_.assignment().allocation_id, book_.status()}; }
  const AllocationRecord& record() const { return book_.record(); }
  bool ended() const { return book_.ended(); }
  const std::string& instance_id() const { return book_.status().instance_id; }
  const std::string& group_id() const { return book_.assignment().group.group_id; }
  // For what arrives by other ways than the run's own network.
  void serve_metadata(ConnPtr conn);

  // Ends our tasks. A live application runs on.
  Task<void> close();
  // After close(): an ended run that the driver has still, because its end could not be stored.
  std::string left_run() const { return ended() && !dropped_ ? instance_id() : std::string(); }

  // MetadataHost
  bool present() const override { return run_ != nullptr && !ended(); }
  bool started() const override { return book_.status().started; }
  bool ready() const override { return book_.status().ready; }
  int32_t deletion_cost() const override { return book_.status().deletion_cost; }
  void set_deletion_cost(int32_t cost) override { book_.set_deletion_cost(cost); }
  void ask(SelfAction action, std::string reason) override;
  Task<Result<std::string>> token() override { return parts_.tokens.token(group_id()); }

 private:
  // InstanceRun::Observer
  void on_probe(api::ProbeKind kind, const RunHealth::Change& change,
                const std::string& detail) override;
  void on_end_seen() override { wake_.notify_all(); }

  Task<Result<>> live(std::optional<runtime::RunInfo> found);
  Task<Result<>> run_after_run(std::optional<runtime::RunInfo> found);
  Task<Result<>> resume(std::optional<runtime::RunInfo> found);
  Task<Result<>> resume_decided(NextStep step, std::optional<runtime::RunInfo> found);
  Task<Result<>> resume_unbegun(bool made);
  Task<Result<>> begin_run(bool keep_files);
  // The image is here; false: it cannot be had, as the run tells, or is not wanted any more.
  Task<Result<bool>> fetch_image();
  void show_pulling(std::optional<int32_t> percent);
  Task<Result<>> start_run();
  void on_running();
  Task<Result<NextStep>> next_step();
  Task<Result<>> catch_up();
  Task<Result<NextStep>> carry_out(NextStep step);
  Task<Result<>> end_run();
  Task<Result<>> drop_when_stored();
  Task<Result<>> drop_run(std::string instance_id);
  Task<Result<>> drop_kept_files();
  Task<Result<NextStep>> pause(NextStep step);
  void decide(const NextStep& step);
  void blame_machine();

  RunFacts facts() const;
  void make_run_object();
  void show_health();
  void say_held_startup();

  const Parts& parts_;

  AllocationBook book_;

  api::GroupSpec wanted_spec_;  // of the assignment
  TimePoint action_due_{};

  // Of the current run.
  api::GroupSpec spec_;
  std::unique_ptr<InstanceRun> run_;
  std::optional<std::string> held_startup_event_;  // detail
  bool limits_refused_ = false;                    // new ones need another run
  bool dropped_ = true;                            // the driver has forgotten it

  Notify wake_;
  Scope scope_;
};

}  // namespace mesclun::agent
