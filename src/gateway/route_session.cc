#include "gateway/route_session.h"

#include "base/log.h"
#include "base/race.h"
#include "base/scope.h"

namespace mesclun::gateway {

RouteSession::RouteSession(const asio::any_io_executor& executor, Clock& clock, Random& random,
                           RouteSessionSettings settings, link::Dialer& cloud, RouteTable& table)
    : clock_(clock),
      random_(random),
      settings_(std::move(settings)),
      cloud_(cloud),
      table_(table),
      executor_(executor) {}

Task<Result<>> RouteSession::run() {
  Duration backoff = settings_.backoff_min;
  while (true) {
    const TimePoint began = clock_.now();
    const Result<> end = co_await run_once();
    connected_ = false;
    if (co_await cancel_requested()) co_return Error::cancelled();
    log_warning("gateway", "no session with the cloud",
                {{"reason", end.error().message}, {"again_in_ms", to_millis(backoff)}});
    // A session that held for a while starts the count anew.
    if (clock_.now() - began > settings_.backoff_max) backoff = settings_.backoff_min;
    const auto jittered = std::chrono::duration_cast<Duration>(backoff * (0.5 + random_.unit()));
    CO_TRY_DO(co_await clock_.sleep_for(jittered));
    backoff = std::min(backoff * 2, settings_.backoff_max);
  }
}

Task<Result<>> RouteSession::run_once() {
  CO_TRY(const link::SessionPtr session, co_await cloud_.dial());
  link::GatewayHello hello;
  hello.name = settings_.name;
  hello.gateway_token = settings_.gateway_token;
  hello.tunnel_endpoint = settings_.tunnel_endpoint;
  CO_TRY_DO(session->send(link::Message(std::move(hello))));
  Scope scope(executor_, "route session");
  scope.spawn(carry(*session));
  scope.spawn(speak(*session));
  Result<> end;
  while (end) {
    Result<link::Message> message = co_await session->receive_within(settings_.silence_max);
    if (!message) {
      end = message.error();
    } else if (auto* update = std::get_if<link::RouteUpdate>(&*message)) {
      if (update->complete && !connected_) {
        connected_ = true;
        log_info("gateway", "routes received", {{"routes", update->routes.size()}});
      }
      table_.apply(std::move(*update));
    } else if (const auto* goodbye = std::get_if<link::Goodbye>(&*message)) {
      end = Error::unavailable("the cloud says goodbye: " + goodbye->reason);
    }
    // Heartbeats, and what a later version may say, only show that it is there.
  }
  session->close();
  co_await scope.stop();
  co_return end;
}

Task<Result<>> RouteSession::carry(link::Session& session) {
  // How it ends is seen by who receives.
  std::ignore = co_await session.pump();
  co_return Result<>();
}

Task<Result<>> RouteSession::speak(link::Session& session) {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(settings_.heartbeat));
    if (!session.send(link::Heartbeat{.time = to_unix_nanos(clock_.wall_now())})) break;
  }
  co_return Result<>();
}

}  // namespace mesclun::gateway
