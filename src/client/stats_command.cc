#include "client/commands.h"
#include "client/flags.h"
#include "client/stats_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples = R"(Examples:
  mesclun stats                           all instances of the project, until Ctrl-C
  mesclun stats echo --once               those of one group, now
  mesclun stats echo -o json | jq '.items[] | {machine_id, cpu_cores, memory_bytes}'
CPU is in cores, used/limit; a dash is what no machine or gateway has told yet.)";

}  // namespace

int stats_command(int argc, char** argv, const Console& console, const Environment& environment) {
  CommonOptions common;
  StatsOptions options;
  CommandLine line(
      "What instances use: CPU, memory, requests. On a terminal a table that follows them.",
      argv[0], "stats");
  line.footer(kExamples);
  line.option("GROUP", options.group, "Only of this group");
  line.flag("--once", options.once, "Print once, also on a terminal");
  add_setting(line, "--period", options.period, 500ms, 1min, "How often the table is renewed");
  add_user_flags(line, common);
  line.add_to_footer("\n\n" + std::string(kExitStatusHelp));
  if (const auto status = line.parse(argc, argv)) return *status;
  const Verb verb = [&](Session& s) { return show_stats(s, options); };
  return run_verb(common, Needs::Project, console, environment, verb);
}

int run_stats_command(int argc, char** argv) {
  return stats_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
