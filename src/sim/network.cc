#include "sim/network.h"

#include "sim/sim_stream.h"

namespace mesclun::sim {

std::optional<Duration> Network::fate(size_t peer) {
  if (random_.chance(faults_.session_reset_chance)) return std::nullopt;
  Duration delay = from_seconds(0.01 + 0.1 * random_.unit());
  if (random_.chance(faults_.delay_spike_chance)) delay += from_seconds(0.2 + 3 * random_.unit());
  if (is_cut(peer)) delay += cut_until_[peer] - clock_.now();
  return delay;
}

// Agents' and gateways' end first, then the cloud's.
std::pair<link::SessionPtr, link::SessionPtr> Network::connect(size_t peer) {
  link::Fate decide = [this, peer] { return fate(peer); };
  const link::SessionLimits answering{.first_frame_bytes_max = link::kFirstFrameBytesMax};
  if (!random_.chance(faults_.byte_stream_share)) {
    return link::memory_session_pair(executor_, clock_, std::move(decide));
  }
  auto [ours, theirs] = sim_stream_pair(executor_, clock_, random_, std::move(decide));
  return {link::make_conn_session(std::move(ours), executor_, clock_),
          link::make_conn_session(std::move(theirs), executor_, clock_, answering)};
}

Task<Result<link::SessionPtr>> Network::dial(size_t peer, Door door) {
  if (is_cut(peer) || !cloud_powered_) {
    // Packets vanish; the dial times out.
    CO_TRY_DO(co_await clock_.sleep_for(10s));
    co_return Error::deadline("no answer");
  }
  CO_TRY_DO(co_await clock_.sleep_for(from_seconds(0.03 + 0.2 * random_.unit())));
  const Accept& accept = door == Door::Agents ? agents_ : gateways_;
  if (!accept) co_return Error::unavailable("connection refused");
  auto [ours, theirs] = connect(peer);
  const bool listens = listen_ && door == Door::Agents;
  accept(listens ? listen_(peer, std::move(theirs)) : std::move(theirs));
  co_return std::move(ours);
}

}  // namespace mesclun::sim
