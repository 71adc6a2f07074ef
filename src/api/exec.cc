#include "api/exec.h"

#include <fmt/format.h>

#include <csignal>

namespace mesclun::api {

namespace {

struct SignalName {
  std::string_view name;
  int32_t number;
};
constexpr SignalName kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},  {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CONT", SIGCONT},  {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"WINCH", SIGWINCH}};

}  // namespace

Result<ExecControl> read_exec_control(std::string_view text) {
  TRY(const json::value document, parse_json(text));
  ExecControl control;
  JsonProblems problems;
  read_json(document, control, JsonPath{}, problems);
  const JsonPath root;
  if (control.resize) {
    const JsonPath at{.parent = &root, .key = "resize"};
    const std::pair<std::string_view, int32_t> sides[] = {{"rows", control.resize->rows},
                                                          {"columns", control.resize->columns}};
    for (const auto& [name, value] : sides) {
      if (value >= 1 && value <= kTerminalSideMax) continue;
      problems.add({.parent = &at, .key = name},
                   fmt::format("must be between 1 and {}", kTerminalSideMax));
    }
  }
  if (control.signal && !signal_number(*control.signal)) {
    problems.add({.parent = &root, .key = "signal"}, "must be a name such as INT, TERM or HUP");
  }
  if (!problems.empty()) return problems.to_error();
  return control;
}

std::string write_exec_control(const ExecControl& control) {
  return to_json_text(control);
}

std::optional<int32_t> signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const SignalName& known : kSignals) {
    if (known.name == name) return known.number;
  }
  return std::nullopt;
}

}  // namespace mesclun::api
