#include "agent/tunnel_keeper.h"

#include "base/log.h"
#include "base/race.h"

namespace mesclun::agent {

TunnelKeeper::TunnelKeeper(const asio::any_io_executor& executor, Clock& clock, Random& random,
                           TunnelDialer& dialer, link::RedialSettings settings,
                           ConnectInstance connect)
    : clock_(clock),
      random_(random),
      dialer_(dialer),
      settings_(settings),
      connect_(std::move(connect)),
      scope_(executor, "tunnels") {}

void TunnelKeeper::update(const std::vector<std::string>& gateways, const std::string& ticket) {
  ticket_ = ticket;
  for (auto it = tunnels_.begin(); it != tunnels_.end();) {
    if (std::ranges::find(gateways, it->first) != gateways.end()) {
      ++it;
      continue;
    }
    it->second->dropped = true;
    it->second->changed.notify_all();
    it = tunnels_.erase(it);
  }
  for (const std::string& gateway : gateways) {
    if (tunnels_.contains(gateway)) continue;
    auto tunnel = std::make_shared<Tunnel>(scope_.executor(), gateway);
    tunnels_[gateway] = tunnel;
    scope_.spawn(keep(std::move(tunnel)));
  }
}

size_t TunnelKeeper::up() const {
  return static_cast<size_t>(
      std::ranges::count_if(tunnels_, [](const auto& entry) { return entry.second->up; }));
}

Task<Result<>> TunnelKeeper::until_dropped(TunnelPtr tunnel) {
  while (!tunnel->dropped) CO_TRY_DO(co_await tunnel->changed.wait());
  co_return Result<>();
}

Task<Result<>> TunnelKeeper::keep(TunnelPtr tunnel) {
  link::Redial redial(settings_);
  while (!tunnel->dropped) {
    auto on_up = [this, tunnel, &redial] {
      tunnel->up = true;
      redial.stands(clock_.now());
      log_info("agent", "a tunnel stands", {{"gateway", tunnel->gateway}});
    };
    std::optional<Result<>> carried;
    std::optional<Result<>> dropped;
    const int first = co_await race(
        detail::store_result(dialer_.carry(tunnel->gateway, ticket_, connect_, on_up), carried),
        detail::store_result(until_dropped(tunnel), dropped));
    tunnel->up = false;
    if (co_await cancel_requested()) co_return Error::cancelled();
    if (first == 1 || tunnel->dropped) break;
    const Error error =
        carried && !*carried ? carried->error() : Error::unavailable("the tunnel ended");
    const link::Redial::Step step = redial.after(error, clock_.now(), random_);
    if (step.news) {
      log_warning("agent", "no tunnel to a gateway",
                  {{"gateway", tunnel->gateway}, {"reason", error.message}});
    }
    CO_TRY_DO(co_await tunnel->changed.wait_until(clock_, clock_.now() + step.wait));
  }
  co_return Result<>();
}

}  // namespace mesclun::agent
