// What one allocation was told, is and was: its record, on disk and on its way to the cloud.
#pragma once

#include <functional>

#include "agent/event_journal.h"
#include "agent/state_store.h"

namespace mesclun::agent {

// Runs on:  the agent's loop.
// Promise:  what changes is stored first, then `changed` is called, so that it is reported as soon
//           as it is seen. What becomes of a run is stored before anything is done about it.
// Errors:   a record that cannot be stored is logged; saved() tells.
// Lifetime: all of Parts outlives it.
class AllocationBook {
 public:
  struct Parts {
    Clock& clock;
    StateStore& store;
    EventJournal& journal;
    const std::function<void()>& changed;
  };

  AllocationBook(const Parts& parts, AllocationRecord record);

  const AllocationRecord& record() const { return record_; }
  const link::ReplicaStatus& status() const { return record_.status; }
  const Assignment& assignment() const { return record_.assignment; }
  const link::ReplicaWish& wish() const { return record_.assignment.wish; }
  bool ended() const { return status().state == link::RunState::Ended; }
  // The last time.
  const Result<>& saved() const { return saved_; }

  // What it is told.
  void assign(Assignment assignment);
  void stop();
  void let_go(std::string reason);
  void ask(SelfAction action, std::string reason);
  void set_deletion_cost(int32_t cost);
  // The wish for another run was not acted upon yet.
  bool asks_for_newer_run() const { return wish().run > run_taken_; }
  // The current run carries another version than is wanted, which asks for no other run.
  bool is_behind() const { return !asks_for_newer_run() && status().version != wish().version; }
  // It carries the wanted version now.
  void carry();

  // A step that is not Stay, with its events; `ends_run` if there is a run that it ends.
  void decide(const NextStep& step, bool ends_run);
  // What an agent before us decided and did not carry out.
  std::optional<NextStep> decided() const;
  // Says what is missing of its events. Before anything else is said after a restart.
  void say_decided();

  // What becomes of it. A run is stored before the driver hears of it.
  void begin_run(std::string instance_id);
  // How far the image is fetched, per cent; nothing: it is not being fetched. Not stored.
  void show_pulling(std::optional<int32_t> percent);
  void show_running();
  void show_health(bool started, bool ready);
  void show_between_runs();
  size_t quick_exits() const;  // within kQuickExitWindow
  // The files of the run that ended, for the next one; once taken they are its or nobody's.
  void keep_files() { record_.files_of = status().instance_id; }
  // The same for a run that was made and never begun by an agent before us.
  void keep_files_of_unbegun_run();
  std::string take_files() { return std::exchange(record_.files_of, {}); }
  void end(const NextStep& step);
  // Tries again what failed the last time.
  void save_again() { save(Durability::PowerLoss); }
  // Ends what never ran here, in answer to the newest wish.
  void refuse(const NextStep& step);

  void add_event(std::string_view name, std::string_view detail);

 private:
  void take_wish() { run_taken_ = wish().run; }
  void count_quick_exit();
  void take_deletion_cost();
  void set_state(link::RunState state);
  void save(Durability durability);

  const Parts parts_;
  // Stored whenever it changes; the rest of an agent that was killed is found out again.
  AllocationRecord record_;
  Result<> saved_;
  int32_t run_taken_;  // the highest Wish.run that was acted upon
};

}  // namespace mesclun::agent
