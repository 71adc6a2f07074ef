// Identity tokens of the groups that run here (imds.md §4): kept, and asked from the cloud when
// they grow old.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/notify.h"
#include "link/messages.h"

namespace mesclun::agent {

// What callers may count on when they get a token; verifiers are told to refresh each 2 to 3
// minutes.
inline constexpr Duration kTokenLeftMin = 2min;
// A token lives five minutes; believing more would trust a clock that is wrong.
inline constexpr Duration kTokenLifeMax = 5min;
// Callers give up after 10 s.
inline constexpr Duration kTokenWait = 5s;

// Runs on: the agent's loop.
// Time:    a token's life is counted on this machine's steady clock from its arrival, so that a
//          step of the wall clock neither kills nor prolongs it.
class TokenCache {
 public:
  // `ask` sends a TokenRequest; false while there is no session.
  TokenCache(const asio::any_io_executor& executor, Clock& clock,
             std::function<bool(const link::TokenRequest&)> ask);

  // One that has kTokenLeftMin left, from the cloud if need be; else any that is still valid.
  // Unavailable: neither. NotFound: the cloud says the group does not run here.
  Task<Result<std::string>> token(std::string group_id);
  void on_reply(const link::TokenReply& reply);
  // Groups that left this node.
  void forget(const std::string& group_id) { tokens_.erase(group_id); }

 private:
  struct Entry {
    std::string jwt;
    TimePoint expires{};
    TimePoint asked{};  // zero: not since the last reply
    uint64_t replies = 0;
    bool refused = false;
  };

  Clock& clock_;
  const std::function<bool(const link::TokenRequest&)> ask_;
  Notify replied_;
  std::map<std::string, Entry> tokens_;
};

}  // namespace mesclun::agent
