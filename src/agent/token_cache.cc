#include "agent/token_cache.h"

namespace mesclun::agent {

namespace {

// A request that a broken session lost is repeated by the next caller.
constexpr Duration kAskAgain = 2s;

}  // namespace

TokenCache::TokenCache(const asio::any_io_executor& executor, Clock& clock,
                       std::function<bool(const link::TokenRequest&)> ask)
    : clock_(clock), ask_(std::move(ask)), replied_(executor) {}

Task<Result<std::string>> TokenCache::token(std::string group_id) {
  const TimePoint give_up = clock_.now() + kTokenWait;
  const uint64_t seen = tokens_[group_id].replies;
  while (true) {
    // Looked up at each turn: forget() may have taken it.
    Entry& entry = tokens_[group_id];
    const TimePoint now = clock_.now();
    if (!entry.jwt.empty() && entry.expires - now >= kTokenLeftMin) co_return entry.jwt;
    const bool answered = entry.replies != seen;
    if (answered && entry.refused) co_return Error::not_found("the group does not run here");
    bool may_wait = !answered && now < give_up;
    if (may_wait && entry.asked + kAskAgain <= now) {
      link::TokenRequest request{.group_id = group_id};
      may_wait = ask_(request);
      if (entry.replies != seen) continue;
      if (may_wait) entry.asked = now;
    }
    if (!may_wait) {
      if (!entry.jwt.empty() && entry.expires > now) co_return entry.jwt;
      co_return Error::unavailable("the cloud cannot be reached for a token");
    }
    CO_TRY_DO(co_await replied_.wait_until(clock_, std::min(give_up, now + kAskAgain)));
  }
}

void TokenCache::on_reply(const link::TokenReply& reply) {
  const auto found = tokens_.find(reply.group_id);
  if (found == tokens_.end()) return;  // nobody asks for it any more
  Entry& entry = found->second;
  ++entry.replies;
  entry.asked = TimePoint{};
  entry.refused = reply.jwt.empty();
  entry.jwt = reply.jwt;
  const auto wall = WallTime(std::chrono::seconds(reply.expires));
  Duration left = std::min<Duration>(wall - clock_.wall_now(), kTokenLifeMax);
  // Just issued: if it seems old then this machine's clock is wrong, not the token.
  if (left < kTokenLeftMin) left = kTokenLeftMin;
  entry.expires = clock_.now() + left;
  replied_.notify_all();
}

}  // namespace mesclun::agent
