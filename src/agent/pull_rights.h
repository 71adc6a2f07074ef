// The right to pull an image, asked from the cloud when it is needed.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/notify.h"
#include "link/messages.h"
#include "runtime/driver.h"

namespace mesclun::agent {

// The cloud asks a registry meanwhile: three calls of 10 s at most.
inline constexpr Duration kPullRightWait = 40s;

// Runs on: the agent's loop.
// Promise: nothing of an answer is kept once it was handed out.
class PullRights {
 public:
  // `ask` sends a PullRequest; false while there is no session.
  PullRights(const asio::any_io_executor& executor, Clock& clock,
             std::function<bool(const link::PullRequest&)> ask);

  // Unavailable with Cause::Unreachable: the cloud does not answer. Else the cloud's refusal:
  // PermissionDenied, InvalidArgument, the credentials are not good; others, it may be tried again.
  Task<Result<runtime::RegistryAccess>> get(link::SpecName spec);
  void on_reply(link::PullReply reply);

 private:
  struct Question {
    int waiting = 0;
    uint64_t replies = 0;
    Result<runtime::RegistryAccess> answer;
  };
  Task<Result<runtime::RegistryAccess>> wait(Question& question, const link::SpecName& spec);

  Clock& clock_;
  const std::function<bool(const link::PullRequest&)> ask_;
  Notify replied_;
  std::map<link::SpecName, Question> questions_;  // of those that wait
};

}  // namespace mesclun::agent
