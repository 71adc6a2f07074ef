#include "gateway/route_session.h"

#include "base/file.h"
#include "base/log.h"
#include "base/race.h"
#include "link/parts.h"

namespace mesclun::gateway {

RouteSession::RouteSession(Clock& clock, Random& random, RouteSessionSettings settings,
                           link::Dialer& cloud, RouteTable& table)
    : clock_(clock),
      settings_(std::move(settings)),
      table_(table),
      usage_(clock, table),
      keeper_("gateway", clock, random, cloud, settings_.cloud) {}

Task<Result<>> RouteSession::run() {
  return keeper_.run([this](link::Session& session) { return talk(session); });
}

Task<Result<>> RouteSession::talk(link::Session& session) {
  link::GatewayHello hello;
  hello.name = settings_.name;
  hello.gateway_token = settings_.gateway_token;
  if (!settings_.gateway_token_file.empty()) {
    hello.gateway_token =
        read_first_line(settings_.gateway_token_file).value_or(settings_.gateway_token);
  }
  hello.tunnel_endpoint = settings_.tunnel_endpoint;
  CO_TRY_DO(session.send(std::move(hello)));
  table_.begin_all();
  const Result<> ended = co_await link::beside(listen(session), speak(session));
  connected_ = false;
  co_return ended;
}

Task<Result<>> RouteSession::speak(link::Session& session) {
  std::optional<Result<>> ended[2];
  auto beating = link::beat(session, clock_, settings_.heartbeat);
  co_await join(detail::store_result(std::move(beating), ended[0]),
                detail::store_result(tell_usage(session), ended[1]));
  co_return Result<>();
}

Task<Result<>> RouteSession::tell_usage(link::Session& session) {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(settings_.usage_period));
    for (link::Usage& part : link::in_parts(usage_.measure(), &link::Usage::instances)) {
      CO_TRY_DO(co_await session.wait_for_room());
      CO_TRY_DO(session.send(std::move(part)));
    }
  }
}

Task<Result<>> RouteSession::listen(link::Session& session) {
  while (true) {
    CO_TRY(link::Message message, co_await link::hear(session, settings_.silence_max));
    // Heartbeats, and what a later version may say, only show that it is there.
    auto* update = std::get_if<link::RouteUpdate>(&message);
    if (update == nullptr) continue;
    const bool complete = update->complete;
    table_.apply(std::move(*update));
    if (!complete || connected_) continue;
    connected_ = true;
    keeper_.stands(session);
    log_info("gateway", "routes received", {{"routes", table_.size()}});
  }
}

}  // namespace mesclun::gateway
