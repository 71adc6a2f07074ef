#include "client/commands.h"
#include "client/flags.h"
#include "client/stream_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kLogsExamples = R"(Examples:
  mesclun logs echo                       the last 100 lines of all instances
  mesclun logs echo -f --tail 0           only what comes from now on, until Ctrl-C
  mesclun logs echo --since 10m -n 1000   of the last ten minutes
  mesclun logs echo --instance 3f2a -o json | jq -r '.items[].text'
  mesclun logs echo -f --query 'severity >= "warning" or log contains~ timeout'
With -o json: {"items": […]} oldest first; with -f one object a line.)";

constexpr const char* kEventsExamples = R"(Examples:
  mesclun events echo                     what happened to the group and its instances, and why
  mesclun events echo -f                  and what happens from now on, until Ctrl-C
With -o json: {"items": […]} oldest first; with -f one object a line.)";

struct Options {
  CommonOptions common;
  StreamOptions stream;
};

void add_stream_flags(CommandLine& line, StreamOptions& stream) {
  line.option("GROUP", stream.group, "The group").required();
  line.flag("-f,--follow", stream.follow,
            "Go on printing what comes, until Ctrl-C or until the "
            "group is deleted");
  add_setting(line, "-n,--tail", stream.tail, int64_t{0}, int64_t{1000}, "How many of the newest");
  line.option(
          "--since",
          [&stream](const std::string& text) -> Result<> {
            TRY(stream.since, parse_duration(text));
            return {};
          },
          "Only what is not older, such as 10m")
      .value_name("DURATION");
  add_setting(line, "--patience", stream.patience, 0s, std::chrono::hours(24),
              "With -f: how long to wait for a cloud that cannot be reached");
}

int finish(CommandLine& line, int argc, char** argv, const Console& console,
           const Environment& environment, Options& options, StreamKind kind) {
  add_user_flags(line, options.common);
  line.add_to_footer("\n\n" + std::string(kExitStatusHelp));
  if (const auto status = line.parse(argc, argv)) return *status;
  const Verb verb = [&](Session& s) { return show_stream(s, kind, options.stream); };
  return run_verb(options.common, Needs::Project, console, environment, verb);
}

}  // namespace

int logs_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("What the instances of a group wrote to standard output and error.", argv[0],
                   "logs");
  line.footer(kLogsExamples);
  add_stream_flags(line, options.stream);
  line.option("--instance", options.stream.instance,
              "Only this instance (a beginning of its id "
              "is enough)");
  line.option("--query", options.stream.query,
              "Only lines that match, in the query language of log-entries")
      .value_name("EXPR");
  return finish(line, argc, argv, console, environment, options, StreamKind::Logs);
}

int events_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("What happened to a group and its instances: placements, starts, exits, moves.",
                   argv[0], "events");
  line.footer(kEventsExamples);
  add_stream_flags(line, options.stream);
  return finish(line, argc, argv, console, environment, options, StreamKind::Events);
}

int run_logs_command(int argc, char** argv) {
  return logs_command(argc, argv, Console::standard(), process_environment());
}

int run_events_command(int argc, char** argv) {
  return events_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
