#include "http/idle_conns.h"

namespace mesclun {

bool IdleConns::keep(Entry& entry, TimePoint until) {
  entry.conn().set_deadline(until);
  if (!entry.conn().is_clean()) return false;
  const auto at = entry.one_.begin();
  const bool kept = entry.conn().when_readable([this, at](bool readable) {
    Entry ready;
    ready.one_.splice(ready.one_.end(), conns_, at);
    if (readable) wake_(std::move(ready));
  });
  if (kept) conns_.splice(conns_.end(), entry.one_);
  return kept;
}

bool IdleConns::close_oldest() {
  int looked_at = 0;
  for (auto at = conns_.begin(); at != conns_.end() && looked_at < 8; ++at, ++looked_at) {
    if (!(*at)->is_clean()) continue;
    conns_.erase(at);
    return true;
  }
  return false;
}

void IdleConns::close_silent() {
  std::erase_if(conns_, [](const ConnPtr& conn) { return conn->is_clean(); });
}

}  // namespace mesclun
