// Why and how this instance ends.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/notify.h"
#include "companion/config.h"
#include "companion/process_table.h"

namespace mesclun::companion {

struct Ending {
  enum class Kind {
    ApplicationEnded,  // by itself
    Told,              // by a signal
    Leave,             // ask for another node, then end with status 1
    Exit,              // end with exit_code
  };
  Kind kind = Kind::Exit;
  int exit_code = 1;
  int signal = 0;
  std::string reason;
};

// Where everybody who sees a reason to end says so. The first one counts; Companion carries it out.
//
// Runs on: one loop.
class Endings {
 public:
  // `is_local`: there is no platform that could move the instance. `few_nodes_left`: it has hardly
  // another node to move to (checks.nodes_left_min).
  Endings(const asio::any_io_executor& executor, bool is_local,
          std::function<bool()> few_nodes_left)
      : is_local_(is_local), few_nodes_left_(std::move(few_nodes_left)), changed_(executor) {}

  void end(Ending ending);
  // Does what the settings say about trouble. `must_end`: merely reporting it would leave an
  // instance that never serves. Where few other nodes are left, none is asked for; then the
  // instance ends, and starts again where it is, if it must or if `restart_helps`.
  void act(Action action, const std::string& reason, bool must_end, bool restart_helps = false);
  // SIGTERM and SIGINT; a second time without waiting for requests in flight.
  void told_to_stop(int signal);
  void application_ended(ProcessEnd end);

  const std::optional<Ending>& first() const { return first_; }
  const std::optional<ProcessEnd>& application_end() const { return application_end_; }
  bool hurry() const { return hurry_; }
  // One of the three above.
  Notify& changed() { return changed_; }

 private:
  const bool is_local_;
  const std::function<bool()> few_nodes_left_;
  std::optional<Ending> first_;
  std::optional<ProcessEnd> application_end_;
  bool hurry_ = false;
  Notify changed_;
};

}  // namespace mesclun::companion
