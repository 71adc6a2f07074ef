#include "companion/companion.h"
#include "companion/signal_origin.h"

#include <boost/asio/io_context.hpp>
#include <csignal>

#include "base/file_limit.h"
#include "base/log.h"
#include "base/service.h"
#include "companion/start_up.h"
#include "companion/summary_log.h"

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
      endings_(executor, is_local_, [this] { return few_nodes_left(); }),
      table_(executor),
      runner_(table_, clock_),
      process_(table_, clock_),
      judge_(config_.application),
      node_watch_(config_, clock_, runner_, environment_, endings_),
      metadata_(clock_, config_.metadata),
      tasks_(executor, "companion") {
  if (const Result<Endpoint> address = parse_endpoint(config_.application.address)) {
    link_.emplace(clock_, *address);
  }
  if (link_ && !config_.front.listen.empty()) {
    FrontObserver& observer = node_watch_;
    front_.emplace(executor, clock_, random_, config_, *link_, judge_, observer);
    node_watch_.steer(*front_);
  }
  Front* const front = front_ ? &*front_ : nullptr;
  pages_.emplace(clock_, config_, judge_, front, [this] { return node_watch_.status(); });
  application_watch_.emplace(config_.application, clock_, judge_, *pages_, front, endings_);
  if (front_) server_.emplace(executor, *front_, *pages_);
}

bool Companion::few_nodes_left() const {
  const std::optional<int> left = environment_.nodes_left();
  return left && *left < config_.checks.nodes_left_min;
}

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

Task<Result<int>> Companion::run() {
  CO_TRY_DO(listen());
  if (is_local_) {
    log_info("app", "no $SALAD_MACHINE_ID: a local run, without checks and without moving on");
  }
  tasks_.spawn(prepare());
  tasks_.spawn(application_watch_->health_loop());
  if (config_.log_summary > 0s) {
    tasks_.spawn(log_summaries(config_, clock_, *pages_, front_ ? &*front_ : nullptr, node_watch_));
  }
  while (!endings_.first()) CO_TRY_DO(co_await endings_.changed().wait());
  const int exit_code = co_await carry_out(*endings_.first());
  co_await tasks_.stop();
  if (front_) co_await front_->stop();
  // Refusals of the last requests go out before their connections are closed.
  if (server_) {
    std::ignore = co_await clock_.sleep_for(1ms);
    co_await server_->stop();
  }
  co_return exit_code;
}

Task<Result<>> Companion::prepare() {
  StartUp start_up(config_, clock_, random_, runner_, environment_, judge_, endings_);
  CO_TRY(const bool fit, co_await start_up.check_node());
  if (!fit || !start_application()) co_return Result<>();
  if (link_) {
    CO_TRY(const bool ready, co_await start_up.wait_for_application(*link_));
    if (!ready) co_return Result<>();
  }
  judge_.started(clock_.now());
  log_info("app", "serving");
  if (link_) tasks_.spawn(application_watch_->check_loop(*link_));
  if (front_ && config_.monitor.work) tasks_.spawn(node_watch_.speed_loop());
  tasks_.spawn(node_watch_.gpu_loop());
  co_return Result<>();
}

// False: the instance ends.
bool Companion::start_application() {
  judge_.preparing("the application starts");
  const Result<> started = process_.start(command_);
  if (!started) {
    const int code = started.code() == ErrorCode::NotFound ? 127 : 126;
    endings_.end({.exit_code = code, .reason = started.error().message});
    return false;
  }
  log_info("app", "the application runs", {{"command", command_.front()}});
  tasks_.spawn(wait_for_application());
  return true;
}

Task<Result<>> Companion::wait_for_application() {
  CO_TRY(const ProcessEnd end, co_await process_.wait());
  endings_.application_ended(end);
  co_return Result<>();
}

Task<void> Companion::wait_for_answers(Duration limit) {
  const TimePoint end = clock_.now() + limit;
  while (front_ && front_->has_unfinished() && clock_.now() < end && !endings_.hurry()) {
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
  while (!endings_.hurry() && !endings_.application_end() && clock_.now() < end) {
    if (!co_await endings_.changed().wait_until(clock_, end)) co_return;
  }
}

Task<int> Companion::carry_out(Ending ending) {
  const std::optional<ProcessEnd>& application_end = endings_.application_end();
  switch (ending.kind) {
    case Ending::Kind::ApplicationEnded:
      judge_.dead("the application " + application_end->describe());
      log_info("app", "the application " + application_end->describe());
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
  const bool started = process_.running() || application_end;
  co_await process_.stop(ending.signal == 0 ? SIGTERM : ending.signal,
                         config_.application.stop_grace);
  // wait_for_application() runs in this turn of the loop or the next.
  while (started && !application_end) {
    if (!co_await endings_.changed().wait()) break;
  }
  if (ending.kind == Ending::Kind::Told && application_end) {
    log_info("app", "the application " + application_end->describe());
    co_return application_end->exit_code();
  }
  co_return ending.exit_code;
}

namespace {

Task<Result<>> run_to_end(Companion& companion, int& exit_code) {
  // Those that keys send.
  note_signal_origins({SIGINT, SIGQUIT, SIGWINCH});
  CO_TRY(exit_code, co_await companion.run());
  co_return Result<>();
}

}  // namespace

// Connections to the application, pages, metrics, checks.
constexpr size_t kOtherFiles = 512;

int run_companion(Config config, std::vector<std::string> command) {
  // A peer that went away is an error code of ours, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  const auto wanted = static_cast<size_t>(config.front.connections_max);
  config.front.connections_max =
      static_cast<int>(fit_connections("callers (front.connections_max)", wanted, kOtherFiles));
  asio::io_context io(1);
  Companion companion(io.get_executor(), std::move(config), std::move(command));
  int exit_code = 0;
  const Result<> result = run_with_signals(
      io, run_to_end(companion, exit_code),
      {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGALRM},
      [&](int number) {
        if (came_from_terminal(number)) companion.heard_from_terminal(number);
        if (number == SIGTERM || number == SIGINT) {
          companion.told_to_stop(number);
        } else {
          companion.forward(number);
        }
        return false;
      });
  if (!result) {
    fmt::print(stderr, "mesclun-app: {}\n", result.error().message);
    return result.code() == ErrorCode::Cancelled ? 1 : 2;
  }
  return exit_code;
}

}  // namespace mesclun::companion
