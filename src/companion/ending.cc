#include "companion/ending.h"

#include "base/log.h"

namespace mesclun::companion {

void Endings::end(Ending ending) {
  if (first_) return;
  first_ = std::move(ending);
  changed_.notify_all();
}

void Endings::act(Action action, const std::string& reason, bool must_end, bool restart_helps) {
  if (action == Action::Reallocate && is_local_) {
    log_warning("app", "on a platform this would ask for another node", {{"reason", reason}});
    action = Action::Report;
  } else if (action == Action::Reallocate && few_nodes_left_()) {
    log_warning("app", "few other nodes are left, so this one is kept", {{"reason", reason}});
    action = restart_helps ? Action::Exit : Action::Report;
  }
  switch (action) {
    case Action::Reallocate:
      end({.kind = Ending::Kind::Leave, .reason = reason});
      return;
    case Action::Exit:
      end({.kind = Ending::Kind::Exit, .reason = reason});
      return;
    case Action::Report:
      log_warning("app", reason);
      if (must_end) end({.kind = Ending::Kind::Exit, .reason = reason});
      return;
  }
}

void Endings::told_to_stop(int signal) {
  if (first_) {
    hurry_ = true;
    changed_.notify_all();
    return;
  }
  log_info("app", "told to stop", {{"signal", signal}});
  end({.kind = Ending::Kind::Told, .exit_code = 128 + signal, .signal = signal});
}

void Endings::application_ended(ProcessEnd end_of_it) {
  application_end_ = end_of_it;
  changed_.notify_all();
  end({.kind = Ending::Kind::ApplicationEnded, .exit_code = end_of_it.exit_code()});
}

}  // namespace mesclun::companion
