#include "registry/access_cache.h"

#include <algorithm>

namespace mesclun::registry {

namespace {

Duration life_of(const AccessCache::Answer& answer) {
  if (answer) return answer->life;
  const bool refused =
      answer.code() == ErrorCode::PermissionDenied || answer.code() == ErrorCode::InvalidArgument;
  return refused ? AccessCache::kRefusalLife : AccessCache::kTroubleLife;
}

}  // namespace

std::optional<AccessCache::Answer> AccessCache::find(const std::string& key, TimePoint now) const {
  const auto found = entries_.find(key);
  if (found == entries_.end() || now >= found->second.fresh_until) return std::nullopt;
  if (!found->second.answer) return found->second.answer;
  PullAccess access = *found->second.answer;
  access.life = found->second.end - now;
  return access;
}

void AccessCache::keep(const std::string& key, const Answer& answer, TimePoint now) {
  const Duration life = life_of(answer);
  const Entry entry{
      .answer = answer, .fresh_until = now + (answer ? life / 2 : life), .end = now + life};
  if (entries_.size() >= kEntriesMax && !entries_.contains(key)) {
    std::erase_if(entries_, [now](const auto& known) { return known.second.fresh_until <= now; });
    if (entries_.size() >= kEntriesMax) {
      entries_.erase(std::ranges::min_element(
          entries_, {}, [](const auto& known) { return known.second.fresh_until; }));
    }
  }
  entries_.insert_or_assign(key, entry);
}

}  // namespace mesclun::registry
