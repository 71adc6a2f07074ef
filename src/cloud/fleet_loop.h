// Runs the fleet: takes what came in, lets the rules decide, stores the outcome in one commit, and
// only then answers, tells nodes and gateways.
#pragma once

#include <deque>

#include "base/notify.h"
#include "cloud/fleet.h"
#include "cloud/listening_clock.h"
#include "store/database.h"

namespace mesclun::cloud {

// Who hears about committed changes. Calls come from the fleet loop and must not wait.
class FleetListener {
 public:
  virtual ~FleetListener() = default;
  virtual void send_desired(const std::string& node_id, int64_t session,
                            const link::Desired& desired) = 0;
  virtual void acknowledge(const std::string& node_id, int64_t session, int64_t sequence) = 0;
  // What is reached under these host names may have changed.
  virtual void publish(const std::set<std::string>& hosts) = 0;
  virtual void events_added(const std::set<std::string>& group_ids) = 0;
};

// Runs on:  the cloud's loop.
// Promise:  what submit() answered without error is stored. Commands run one after the other, in
//           the order of the calls.
// Errors:   the command's own; Unavailable when the commit failed: nothing of the command remains
//           then; ResourceExhausted when 10,000 commands wait.
// Lifetime: all that the constructor gets outlives it.
class FleetLoop {
 public:
  using Command = std::function<Result<>(Fleet&, Moment)>;

  FleetLoop(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
            Fleet& fleet, FleetListener& listener)
      : clock_(clock),
        database_(database),
        fleet_(fleet),
        listener_(listener),
        arrived_(executor),
        settled_(executor),
        listening_(tick_period(fleet.settings.node_grace), clock.now()) {}

  // Reads the stored state; before run().
  Task<Result<>> load();
  // Until cancelled; so does listen(), which tells time that is heard from time that is not.
  Task<Result<>> run();
  Task<Result<>> listen();
  // The command keeps values only: it runs even if the caller stopped waiting.
  Task<Result<>> submit(Command command);
  // Reads the fleet in a turn of its own: nobody is shown what is not stored.
  template <class T>
  Task<Result<T>> ask(std::function<Result<T>(const Fleet&, Moment)> question) {
    auto answer = std::make_shared<std::optional<T>>();
    Command command = [answer, question = std::move(question)](Fleet& fleet,
                                                               Moment now) -> Result<> {
      TRY(*answer, question(fleet, now));
      return {};
    };
    CO_TRY_DO(co_await submit(std::move(command)));
    co_return std::move(**answer);
  }

  // Returns when memory holds what is stored and nothing beyond it; that stays true until the caller
  // waits for anything.
  Task<Result<>> settled();

  // Of something that is heard now.
  Moment now() const { return {listening_.heard_at(clock_.now()), clock_.wall_now()}; }

 private:
  struct Pending {
    Pending(Command chosen, const asio::any_io_executor& executor)
        : command(std::move(chosen)), changed(executor) {}
    Command command;
    Result<> result;
    bool answered = false;
    Notify changed;  // of its own: who ends wakes nobody else
  };

  static Duration tick_period(Duration grace) { return std::clamp<Duration>(grace / 20, 50ms, 1s); }
  // For the rules that look at silence.
  Moment counted() const { return {listening_.counted(), clock_.wall_now()}; }

  Task<Result<>> turn();
  // Runs commands and rules. An exception out of them is a broken invariant and ends the process:
  // the store has the truth, and a restart reads it.
  std::vector<std::shared_ptr<Pending>> decide() noexcept;
  Task<Result<>> commit(std::shared_ptr<const FleetChanges> changes);
  void tell(const FleetChanges& changes);

  // Constant after construction.
  Clock& clock_;
  store::Database& database_;
  Fleet& fleet_;
  FleetListener& listener_;
  // Callers of submit() and run().
  Notify arrived_;
  std::deque<std::shared_ptr<Pending>> waiting_;
  // Callers of settled() and run().
  Notify settled_;
  size_t settling_ = 0;  // callers that wait
  bool ahead_ = false;   // memory is ahead of the store
  // listen() only.
  ListeningClock listening_;
  // run() only.
  bool failed_ = false;  // the last commit
  int64_t last_revision_ = 0;
  int64_t events_since_prune_ = 0;
};

}  // namespace mesclun::cloud
