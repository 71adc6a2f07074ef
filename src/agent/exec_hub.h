// The commands that run on this node for people, over one session of it: from the cloud's ExecOpen to
// the last word, ExecExit (link/messages.h).
//
//   listen ── take() ──► input ──► the driver's ExecStream ──► output ──► session
//
// What is not read stays with the command: an exec holds one window of its input, and says its output
// only as far as the cloud has room for it, in small pieces that leave most of the session's queue to
// others.
#pragma once

#include <functional>
#include <map>

#include "base/notify.h"
#include "base/scope.h"
#include "link/session.h"
#include "runtime/exec_stream.h"

namespace mesclun::agent {

class ExecHub {
 public:
  struct Parts {
    asio::any_io_executor executor;
    link::Session& session;
    // NotFound: the instance does not run here; else as ContainerDriver::open_exec().
    std::function<Task<Result<std::unique_ptr<runtime::ExecStream>>>(std::string instance_id,
                                                                     runtime::ExecSpec spec)>
        open;
  };
  // More at once are refused.
  static constexpr size_t kExecsMax = 64;

  explicit ExecHub(Parts parts);
  ~ExecHub();

  // False: the message is about no exec.
  bool take(link::Message& message);
  // Ends all commands; awaited before the destructor, and before the session's end.
  Task<void> close() { return scope_.stop(); }
  size_t running() const { return execs_.size(); }

 private:
  struct Exec;
  using ExecPtr = std::shared_ptr<Exec>;

  void open(link::ExecOpen order);
  void on(link::ExecData& data);
  void on(const link::ExecWindow& window);
  void on(const link::ExecInputEnd& end);
  void on(const link::ExecResize& resize);
  void on(const link::ExecSignal& signal);
  void on(const link::ExecClose& close);

  // Null: it has ended, or was never there.
  Exec* find(const std::string& exec_id) const;
  void break_off(Exec& exec, const char* why);
  void say_exit(const std::string& exec_id, const Error& error);

  Task<Result<>> run(ExecPtr exec);
  Task<Result<>> live(Exec& exec);
  Task<Result<>> say_output(Exec& exec);
  Task<Result<>> pass_input(Exec& exec);
  Task<Result<>> say(link::Message message);

  const Parts parts_;
  std::map<std::string, ExecPtr> execs_;
  Scope scope_;
};

}  // namespace mesclun::agent
