// The flags of every client command. CLI11's header is heavy: only the sources of commands include
// this.
#pragma once

#include "base/settings.h"
#include "client/command.h"

namespace mesclun::client {

inline constexpr const char* kExitStatusHelp =
    "Exit status: 0 done, 1 the cloud said no or cannot be reached, 2 wrong usage, 130 after "
    "Ctrl-C.";

// Looked up by resolve_context(), not by CLI11, so that an error can say where a value came from.
inline CLI::Option* add_context_flag(CLI::App& app, const std::string& flag, std::string& value,
                                     const std::string& help) {
  return app
      .add_option(flag, value,
                  fmt::format("{} (Env:{}; else from the context file)", help,
                              setting_environment_name(flag)))
      ->group("Context");
}

inline void add_output_flag(CLI::App& app, OutputFormat& format) {
  const auto set = [&format](const std::string& text) {
    if (text != "table" && text != "json") {
      throw CLI::ValidationError("--output", "must be table or json, not '" + text + "'");
    }
    format = text == "json" ? OutputFormat::Json : OutputFormat::Table;
  };
  app.add_option_function<std::string>("-o,--output", set,
                                       "What to print: for people, or the API's own JSON")
      ->type_name("table|json")
      ->default_str("table");
}

inline void add_call_flags(CLI::App& app, CommonOptions& options) {
  add_output_flag(app, options.format);
  add_context_flag(app, "--api", options.context.api, "The cloud's API, HOST:PORT");
  add_setting(app, "--request-timeout", options.request_timeout, 1s, 10min,
              "Longest wait for one answer")
      ->group("Context");
  add_setting(app, "--rate-limit-wait", options.rate_limit_wait, 0s, 10min,
              "How long to wait in all when the cloud says 'too many requests'")
      ->group("Context");
}

// For commands of users.
inline void add_user_flags(CLI::App& app, CommonOptions& options) {
  add_call_flags(app, options);
  add_context_flag(app, "--organization", options.context.organization, "Organization");
  add_context_flag(app, "--project", options.context.project, "Project");
  add_context_flag(app, "--api-key", options.context.api_key, "Your key");
  add_context_flag(app, "--gateway", options.context.gateway,
                   "The gateway, HOST:PORT, to show addresses with");
}

// For commands of operators.
inline void add_operator_flags(CLI::App& app, CommonOptions& options) {
  add_call_flags(app, options);
  add_context_flag(app, "--operator-key", options.context.operator_key, "The operator's key");
}

// Verbs of a command: exactly one must be named, and flags may stand before or after it.
inline void take_verbs(CLI::App& app) {
  app.require_subcommand(1);
  for (CLI::App* verb : app.get_subcommands(std::function<bool(CLI::App*)>())) {
    verb->fallthrough();
    verb->footer("Flags of every verb, examples and exit status: " + app.get_name() + " --help");
  }
  app.footer(std::string(app.get_footer()) + "\n\n" + kExitStatusHelp);
}

}  // namespace mesclun::client
