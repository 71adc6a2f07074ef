#include "companion/companion.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "base/log.h"

namespace mesclun::companion {

namespace {

// A platform that has promised to move the instance ends it within seconds (imds.md §5).
constexpr Duration kMovedWithin = 15s;
constexpr Duration kLastAnswers = 1s;

}  // namespace

Companion::Companion(const asio::any_io_executor& executor, Config config,
                     std::vector<std::string> command)
    : executor_(executor),
      config_(std::move(config)),
      command_(std::move(command)),
      is_local_(environment_.machine_id().empty()),
      table_(executor),
      runner_(table_, clock_),
      process_(table_, clock_),
      judge_(config_.application),
      metadata_(clock_, config_.metadata),
      changed_(executor),
      tasks_(executor, "companion") {
  if (const Result<Endpoint> address = parse_endpoint(config_.application.address)) {
    link_.emplace(clock_, *address);
  }
  if (link_ && !config_.front.listen.empty()) {
    FrontObserver& observer = *this;
    front_.emplace(executor, clock_, random_, config_, *link_, judge_, observer);
  }
  pages_.emplace(clock_, config_, judge_, front_ ? &*front_ : nullptr,
                 [this] { return monitor_status(); });
  if (front_) server_.emplace(executor, *front_, *pages_);
}

Companion::~Companion() = default;

Result<> Companion::listen() {
  if (server_) {
    TRY(Listener listener, listen_on(executor_, config_.front.listen));
    log_info("app", "the front listens", {{"address", listener.endpoint().to_string()}});
    server_->serve(std::move(listener));
  }
  if (!config_.metrics_listen.empty()) {
    TRY(Listener listener, listen_on(executor_, config_.metrics_listen));
    log_info("app", "metrics", {{"address", listener.endpoint().to_string()}});
    tasks_.spawn(serve_status_pages(std::move(listener), clock_, *pages_));
  }
  return {};
}

void Companion::end(Ending ending) {
  if (ending_) return;
  ending_ = std::move(ending);
  changed_.notify_all();
}

void Companion::told_to_stop(int signal) {
  if (ending_) {
    hurry_ = true;
    changed_.notify_all();
    return;
  }
  log_info("app", "told to stop", {{"signal", signal}});
  end({.kind = Ending::Kind::Told, .exit_code = 128 + signal, .signal = signal});
}

void Companion::act(Action action, const std::string& reason, bool must_end) {
  if (action == Action::Reallocate && is_local_) {
    log_warning("app", "on a platform this would ask for another node", {{"reason", reason}});
    action = Action::Report;
  }
  switch (action) {
    case Action::Reallocate:
      end({.kind = Ending::Kind::Leave, .reason = reason});
      return;
    case Action::Exit:
      end({.kind = Ending::Kind::Exit, .reason = reason});
      return;
    case Action::Report:
      log_warning("app", reason);
      if (must_end) end({.kind = Ending::Kind::Exit, .reason = reason});
      return;
  }
}

Task<Result<int>> Companion::run() {
  CO_TRY_DO(listen());
  if (is_local_) {
    log_info("app", "no $SALAD_MACHINE_ID: a local run, without checks and without moving on");
  }
  tasks_.spawn(prepare());
  tasks_.spawn(health_loop());
  if (config_.log_summary > 0s) tasks_.spawn(summary_loop());
  while (!ending_) CO_TRY_DO(co_await changed_.wait());
  const int exit_code = co_await carry_out(*ending_);
  co_await tasks_.stop();
  if (front_) co_await front_->stop();
  // Refusals of the last requests go out before their connections are closed.
  if (server_) {
    const Result<> slept = co_await clock_.sleep_for(1ms);
    static_cast<void>(slept);
    co_await server_->stop();
  }
  co_return exit_code;
}

Task<void> Companion::wait_for_answers(Duration limit) {
  const TimePoint end = clock_.now() + limit;
  while (front_ && front_->queue().accepted() > 0 && clock_.now() < end && !hurry_) {
    if (!co_await clock_.sleep_for(10ms)) co_return;
  }
}

Task<void> Companion::leave_node(std::string reason) {
  log_warning("app", "asking for another node", {{"reason", reason}});
  const Result<> asked = co_await metadata_.reallocate(reason);
  if (!asked) {
    log_error("app", "the platform does not move this instance; ending it instead",
              {{"error", to_string(asked.error())}});
    co_return;
  }
  const TimePoint end = clock_.now() + kMovedWithin;
  while (!hurry_ && !application_end_ && clock_.now() < end) {
    if (!co_await changed_.wait_until(clock_, end)) co_return;
  }
}

Task<int> Companion::carry_out(Ending ending) {
  switch (ending.kind) {
    case Ending::Kind::ApplicationEnded:
      judge_.dead("the application " + application_end_->describe());
      log_info("app", "the application " + application_end_->describe());
      co_await wait_for_answers(kLastAnswers);
      co_return ending.exit_code;
    case Ending::Kind::Told:
      judge_.stopping();
      if (process_.running()) co_await wait_for_answers(config_.application.drain);
      break;
    case Ending::Kind::Leave:
      judge_.dead("this node is given up: " + ending.reason);
      co_await leave_node(ending.reason);
      break;
    case Ending::Kind::Exit:
      judge_.dead(ending.reason);
      log_error("app", "ending this instance", {{"reason", ending.reason}});
      break;
  }
  const bool started = process_.running() || application_end_;
  co_await process_.stop(ending.signal == 0 ? SIGTERM : ending.signal,
                         config_.application.stop_grace);
  // wait_for_application() runs in this turn of the loop or the next.
  while (started && !application_end_) {
    if (!co_await changed_.wait()) break;
  }
  if (ending.kind == Ending::Kind::Told && application_end_) {
    log_info("app", "the application " + application_end_->describe());
    co_return application_end_->exit_code();
  }
  co_return ending.exit_code;
}

namespace {

Task<Result<>> run_to_end(Companion& companion, Result<int>& out, bool& ended) {
  out = co_await companion.run();
  ended = true;
  co_return Result<>();
}

}  // namespace

int run_companion(Config config, std::vector<std::string> command) {
  // A peer that went away is an error code of ours, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io(1);
  Result<int> result = 0;
  bool ended = false;
  {
    Companion companion(io.get_executor(), std::move(config), std::move(command));
    Scope scope(io.get_executor(), "main");
    asio::signal_set signals(io, SIGTERM, SIGINT, SIGHUP);
    for (const int number : {SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGALRM}) {
      signals.add(number);
    }
    std::function<void()> listen = [&] {
      signals.async_wait([&](boost::system::error_code error, int number) {
        if (error) return;
        if (number == SIGTERM || number == SIGINT) {
          companion.told_to_stop(number);
        } else {
          companion.forward(number);
        }
        listen();
      });
    };
    listen();
    scope.spawn(run_to_end(companion, result, ended));
    while (!ended && io.run_one() > 0) {
    }
    signals.cancel();
    io.poll();
  }
  if (!result) {
    fmt::print(stderr, "mesclun-app: {}\n", result.error().message);
    return result.code() == ErrorCode::Cancelled ? 1 : 2;
  }
  return *result;
}

}  // namespace mesclun::companion
