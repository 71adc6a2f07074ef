// Tells one node what it should run: always the newest, and each spec once.
#pragma once

#include <deque>
#include <functional>

#include "base/notify.h"
#include "link/parts.h"
#include "link/session.h"

namespace mesclun::cloud {

// A Spec, as nodes share it while it waits for them.
using SpecMessage = std::shared_ptr<const link::Message>;

// Runs on:  the cloud's loop.
// Promise:  the newest Desired reaches the node, after the specs that it names and the node lacks;
//           an older one that was not said whole is dropped. What waits is one Desired, and shares
//           of the specs that it needs.
// Errors:   a spec that fits no frame is said in the log and left out: the node refuses what needs
//           it, and nothing else.
// Lifetime: the session outlives it.
class DesiredSender {
 public:
  // Null: there is no such spec any more.
  using FindSpec = std::function<SpecMessage(const link::SpecName&)>;

  DesiredSender(const asio::any_io_executor& executor, link::Session& session)
      : session_(session), changed_(executor) {}

  // The node has them.
  void knows(std::vector<link::SpecName> specs);
  // `find` is asked now for what the node lacks.
  void want(link::Desired desired, const FindSpec& find);
  // Until the session takes no more; beside its pump.
  Task<Result<>> run();

 private:
  Result<> say_next();

  link::Session& session_;
  Notify changed_;
  std::set<link::SpecName> known_;                 // to the node, and on their way
  std::map<link::SpecName, SpecMessage> lacking_;  // before the parts
  std::deque<link::Desired> parts_;
  std::set<link::SpecName> named_;  // by the parts
};

}  // namespace mesclun::cloud
