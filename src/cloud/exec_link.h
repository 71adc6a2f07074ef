// Commands beside instances, as far as one session with their node is about them (link/messages.h).
//
//   ExecSocket, one a person ── NodeExec ──┐
//   ExecSocket ──────────────── NodeExec ──┴── ExecLink ── the node's session
#pragma once

#include <deque>
#include <variant>

#include "base/notify.h"
#include "link/exec_flow.h"
#include "link/session.h"

namespace mesclun::cloud {

class ExecLink;

// One command. It ends with this object.
//
// Runs on:  the cloud's loop; one read() and one write() at a time.
// Bounds:   holds one window of output that nobody reads; what is written waits for the node to have
//           room.
// Lifetime: may outlive its link, and has ended then.
class NodeExec {
 public:
  struct Output {
    link::ExecChannel channel = link::ExecChannel::Output;
    std::string bytes;
  };
  struct End {
    int32_t code = 0;
    std::string detail;          // for people
    std::optional<Error> error;  // it was not begun, or is lost
  };

  NodeExec(const asio::any_io_executor& executor, ExecLink& link, std::string id);
  // One that was never begun.
  NodeExec(const asio::any_io_executor& executor, std::string id, Error why);
  ~NodeExec();
  NodeExec(const NodeExec&) = delete;
  NodeExec& operator=(const NodeExec&) = delete;

  const std::string& id() const { return id_; }
  // What comes next; the end stays the end.
  Task<Result<std::variant<Output, End>>> read();
  // Unavailable: it has ended.
  Task<Result<>> write(std::string bytes);
  void end_input();
  void resize(int32_t rows, int32_t columns);
  void signal(int32_t number);
  // Whoever reads gets that for its end.
  void lose(Error why);

 private:
  friend class ExecLink;
  void take(link::ExecData& data);
  void take(const link::ExecWindow& window);
  void take(const link::ExecExit& exit);
  void say(link::Message message);

  ExecLink* link_;  // null: its end is known
  const std::string id_;
  std::deque<Output> unread_;
  link::ExecReceiving received_;
  link::ExecSending sending_;
  std::optional<End> end_;
  Notify changed_;
};

// Runs on:  the cloud's loop.
// Bounds:   what waits to be said is one window of each exec, and a few short messages; an exec that
//           says more of these than kWaitingMax is lost.
// Lifetime: the session outlives it.
class ExecLink {
 public:
  static constexpr size_t kExecsMax = 64;     // of one node
  static constexpr size_t kWaitingMax = 256;  // messages of an exec

  ExecLink(const asio::any_io_executor& executor, link::Session& session)
      : executor_(executor), session_(session), changed_(executor) {}
  // All that goes on is lost.
  ~ExecLink();

  // ResourceExhausted: the node has too many.
  Result<std::unique_ptr<NodeExec>> open(link::ExecOpen order);
  // False: the message is about no exec.
  bool take(link::Message& message);
  // Says what waits, until the session takes no more; beside its pump.
  Task<Result<>> run();

 private:
  friend class NodeExec;
  struct Waiting {
    std::string exec_id;
    link::Message message;
  };
  NodeExec* find(const std::string& exec_id) const;
  // Nothing more should be said of it now.
  bool is_full(const std::string& exec_id) const;
  // False: too much of this exec waits.
  bool say(const std::string& exec_id, link::Message message);
  void close(const NodeExec& exec);

  asio::any_io_executor executor_;
  link::Session& session_;
  Notify changed_;
  std::map<std::string, NodeExec*> execs_;
  std::deque<Waiting> waiting_;
  std::map<std::string, size_t> waiting_of_;  // without zeros
};

}  // namespace mesclun::cloud
