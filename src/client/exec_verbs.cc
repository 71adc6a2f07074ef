#include "client/exec_verbs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <csignal>
#include <cstdlib>

#include "api/problem.h"
#include "base/race.h"
#include "base/text.h"

namespace mesclun::client {

namespace {

// After so many Ctrl-C a person wants to leave, whatever the command makes of them.
constexpr int kInterruptionsMax = 3;
constexpr size_t kMessageBytesMax = 1024 * 1024;

std::string target_of(const ApiSettings& settings, const ExecTarget& where,
                      const ExecOptions& options) {
  std::string target =
      fmt::format("{}/api/mesclun/organizations/{}/projects/{}/containers/{}/instances/{}/exec?",
                  settings.address.base_path, encode_segment(settings.organization),
                  encode_segment(settings.project), encode_segment(where.group),
                  encode_segment(where.instance_id));
  if (options.tty) {
    const api::ExecResize size = terminal_size();
    const char* term = std::getenv("TERM");
    target += fmt::format("tty=true&rows={}&columns={}&term={}&", size.rows, size.columns,
                          encode_segment(term == nullptr ? "xterm" : term));
  }
  for (const std::string& word : options.command) {
    target += fmt::format("command={}&", encode_segment(word));
  }
  target.pop_back();
  return target;
}

Task<Result<WebSocketPtr>> open_socket(Clock& clock, ApiSettings settings, std::string target) {
  Result<ConnPtr> conn = co_await dial(settings.address.endpoint, clock, settings.request_timeout);
  if (!conn) {
    Error error = conn.error();
    if (error.code != ErrorCode::Cancelled) error.cause = Cause::Unreachable;
    co_return error;
  }
  HeaderList headers;
  headers.add("Salad-Api-Key", settings.api_key);
  WebSocketRefusal refused;
  Result<WebSocketPtr> socket = co_await within(
      clock, settings.request_timeout,
      dial_websocket(*std::move(conn), settings.address.endpoint.to_string(), std::move(target),
                     std::move(headers), kMessageBytesMax, refused));
  if (!socket && refused.status != 0) {
    co_return api::error_from_problem(refused.status, refused.body);
  }
  co_return socket;
}

}  // namespace

Result<ExecTarget> choose_exec_target(const std::vector<StatsView>& instances,
                                      const std::string& text) {
  std::vector<const StatsView*> found;
  bool is_group = false;
  for (const StatsView& instance : instances) {
    if (instance.container_group_name != text) continue;
    is_group = true;
    if (instance.state == "running") found.push_back(&instance);
  }
  const std::string begin = lower_case(text);
  for (const auto member : {&StatsView::instance_id, &StatsView::machine_id}) {
    if (is_group || !found.empty() || begin.empty()) break;
    for (const StatsView& instance : instances) {
      if ((instance.*member).starts_with(begin)) found.push_back(&instance);
    }
  }
  if (found.size() == 1) return ExecTarget{found[0]->container_group_name, found[0]->instance_id};
  if (found.empty()) {
    return Error::not_found(
        is_group ? fmt::format("no instance of '{}' runs\nSee why: mesclun events {}", text, text)
                 : fmt::format("'{}' is neither a group with instances nor the beginning of an "
                               "instance's id\nSee what runs: mesclun stats --once",
                               text));
  }
  std::vector<std::string> choices;
  for (const StatsView* instance : found) {
    choices.push_back(
        fmt::format("  {}  {}", instance->instance_id, instance->container_group_name));
  }
  return Error::invalid(fmt::format("'{}' is {} instances; name one, a beginning is enough:\n{}",
                                    text, found.size(), fmt::join(choices, "\n")));
}

bool ExecControls::take_signal(int number, bool tty) {
  if (number == SIGWINCH) {
    if (tty && call != nullptr) call->say({.resize = terminal_size()});
    return true;
  }
  if (number == SIGINT && call != nullptr && ++interruptions < kInterruptionsMax) {
    call->say({.signal = "INT"});
    return true;
  }
  // A second signal would leave no time for it.
  terminal.restore();
  return false;
}

Task<Result<>> exec_beside_instance(Session& session, ExecOptions options, ExecControls& controls,
                                    int& status) {
  CO_TRY(const Answer<StatsListView> running, co_await session.api.list_stats(""));
  CO_TRY(const ExecTarget where, choose_exec_target(running.value.items, options.target));
  CO_TRY(const WebSocketPtr socket,
         co_await open_socket(session.clock, session.api.settings(),
                              target_of(session.api.settings(), where, options)));
  const auto executor = co_await asio::this_coro::executor;
  FdStream in(executor, ::fileno(session.console.in), FdStream::Use::Read);
  FdStream out(executor, ::fileno(session.console.out), FdStream::Use::Write);
  FdStream err(executor, ::fileno(session.console.err), FdStream::Use::Write);
  ExecCall call(executor, {.clock = session.clock,
                           .socket = *socket,
                           .in = options.interactive ? &in : nullptr,
                           .out = out,
                           .err = err});
  if (options.tty && options.interactive) {
    CO_TRY_DO(controls.terminal.take(::fileno(session.console.in)));
  }
  controls.call = &call;
  const Result<api::ExecExit> exit = co_await call.run();
  controls.call = nullptr;
  controls.terminal.restore();
  if (!exit) co_return exit.error();
  status = exit->code;
  // Like a shell: of what could not be begun, and why.
  const bool not_begun = exit->code == 126 || exit->code == 127;
  if (not_begun && exit->detail) session.console.note("mesclun: " + *exit->detail);
  co_return Result<>();
}

}  // namespace mesclun::client
