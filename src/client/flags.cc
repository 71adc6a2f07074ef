#include "client/flags.h"

namespace mesclun::client {

namespace {

void add_cloud_flags(CommandLine& line, CommonOptions& options) {
  line.option("--context", options.context.context,
              "A context of the context file, by name (Env:MESCLUN_CONTEXT_NAME; else the current "
              "one)")
      .heading("Context");
  add_context_flag(line, "--api", options.context.api, "The cloud's API, HOST:PORT");
}

void add_call_flags(CommandLine& line, CommonOptions& options) {
  line.choice("-o,--output", options.format,
              {{"table", OutputFormat::Table}, {"json", OutputFormat::Json}},
              "What to print: for people, or the API's own JSON");
  add_cloud_flags(line, options);
  add_setting(line, "--request-timeout", options.request_timeout, 1s, 10min,
              "Longest wait for one answer")
      .environment(common_variable_of("--request-timeout"))
      .heading("Context");
  add_setting(line, "--rate-limit-wait", options.rate_limit_wait, 0s, 10min,
              "How long to wait in all when the cloud says 'too many requests'")
      .environment(common_variable_of("--rate-limit-wait"))
      .heading("Context");
}

void add_project_flags(CommandLine& line, CommonOptions& options) {
  add_context_flag(line, "--organization", options.context.organization, "Organization");
  add_context_flag(line, "--project", options.context.project, "Project");
  add_context_flag(line, "--api-key", options.context.api_key, "Your key");
  add_context_flag(line, "--gateway", options.context.gateway,
                   "The gateway, HOST:PORT, to show addresses with");
}

}  // namespace

CommandOption add_context_flag(CommandLine& line, const std::string& flag, std::string& value,
                               const std::string& help) {
  return line
      .option(
          flag, value,
          fmt::format("{} (Env:{}; else from the context file)", help, common_variable_of(flag)))
      .heading("Context");
}

void add_user_flags(CommandLine& line, CommonOptions& options) {
  add_call_flags(line, options);
  add_project_flags(line, options);
}

void add_user_context_flags(CommandLine& line, CommonOptions& options) {
  add_cloud_flags(line, options);
  add_project_flags(line, options);
}

void add_operator_flags(CommandLine& line, CommonOptions& options) {
  add_call_flags(line, options);
  add_context_flag(line, "--operator-key", options.context.operator_key, "The operator's key");
}

void take_verbs(CommandLine& line) {
  line.require_verbs(1, 1);
  for (const auto& verb : line.verbs()) {
    verb->allow_outer_flags();
    verb->footer("Flags of every verb, examples and exit status: " + line.name() + " --help");
  }
  line.add_to_footer("\n\n" + std::string(kExitStatusHelp));
}

}  // namespace mesclun::client
