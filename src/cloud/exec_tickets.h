// What lets a browser, whose WebSockets carry no key, in: asked for with a key, shown once, soon.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/crypto.h"

namespace mesclun::cloud {

struct ExecTicket {
  std::string key_id;
  std::string path;    // what it opens
  std::string origin;  // the pages that may show it; empty: any
};

// Runs on: the cloud's loop.
// Bounds:  kTicketsMax that were not shown; of one key kTicketsOfKeyMax. Beyond, none is made.
class ExecTickets {
 public:
  static constexpr Duration kLife = 30s;
  static constexpr size_t kTicketsMax = 10'000;
  static constexpr size_t kTicketsOfKeyMax = 64;

  ExecTickets(Clock& clock, Random& random) : clock_(clock), random_(random) {}

  // ResourceExhausted: too many wait.
  Result<std::string> issue(ExecTicket ticket) {
    std::erase_if(waiting_, [now = clock_.now()](const auto& t) { return t.second.end <= now; });
    const auto of_key = std::count_if(waiting_.begin(), waiting_.end(), [&](const auto& other) {
      return other.second.ticket.key_id == ticket.key_id;
    });
    if (waiting_.size() >= kTicketsMax || static_cast<size_t>(of_key) >= kTicketsOfKeyMax) {
      return Error{ErrorCode::ResourceExhausted, "too many tickets of this key wait to be used"};
    }
    std::string secret = new_secret(random_);
    // By its hash: whoever tries does not learn from the time it takes how near he came.
    waiting_[sha256_hex(secret)] = {.ticket = std::move(ticket), .end = clock_.now() + kLife};
    return secret;
  }
  // Nothing: there is none, any more. It is gone then.
  std::optional<ExecTicket> redeem(const std::string& secret) {
    const auto found = waiting_.find(sha256_hex(secret));
    if (found == waiting_.end()) return std::nullopt;
    const Waiting waiting = std::move(found->second);
    waiting_.erase(found);
    if (waiting.end <= clock_.now()) return std::nullopt;
    return waiting.ticket;
  }

 private:
  struct Waiting {
    ExecTicket ticket;
    TimePoint end{};
  };
  Clock& clock_;
  Random& random_;
  std::map<std::string, Waiting> waiting_;
};

}  // namespace mesclun::cloud
