#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "client/commands.h"
#include "client/exec_verbs.h"
#include "client/flags.h"

namespace mesclun::client {

namespace {

constexpr const char* kAbout =
    R"(Runs a command beside the application of an instance: same files, network, environment and limits.

INSTANCE is an instance's id, a beginning of it that only one has, the same of a machine's id, or the
name of a group that has one running instance. The command is a program and its arguments, without a
shell: for pipes and variables name one, sh -c '...'.)";

constexpr const char* kExamples = R"(Examples:
  mesclun exec echo -- ps aux                     look around
  mesclun exec -it echo -- sh                     a shell; leave it with exit or Ctrl-D
  mesclun exec 3f2a -- cat /tmp/out.json > out.json
  tar c . | mesclun exec -i 3f2a -- tar x -C /srv copy a folder there
  mesclun exec echo -- sh -c 'kill -HUP 1'

Whatever the command started ends with it, and it ends with this one: when the connection breaks, the
instance stops or moves, or its machine's agent is restarted. Ctrl-C without -t sends SIGINT to the
command; the third one leaves.

Exit status: the command's own; 128 + N when signal N killed it; 126 and 127 when it cannot be executed
or is not there; 255 when the cloud said no, cannot be reached, or lost the command; 2 wrong usage.)";

constexpr int kOurFailure = 255;

Result<> check(const ExecOptions& options, const Console& console) {
  if (options.command.empty()) {
    return usage_error("name a command: mesclun exec INSTANCE -- COMMAND");
  }
  if (options.tty && options.interactive && ::isatty(::fileno(console.in)) == 0) {
    return usage_error("-t with -i needs a terminal as standard input; leave -t out");
  }
  return {};
}

}  // namespace

int exec_command(int argc, char** argv, const Console& console, const Environment& environment) {
  CommonOptions common;
  ExecOptions options;
  CommandLine line(kAbout, argv[0], "exec");
  line.footer(kExamples);
  add_user_flags(line, common);
  line.option("INSTANCE", options.target, "The instance, or a group with one").required();
  line.option("COMMAND", options.command, "What to run, after --");
  line.flag("-i,--interactive", options.interactive, "Standard input goes to the command");
  line.flag("-t,--tty", options.tty, "The command gets a terminal");
  if (const auto status = line.parse(argc, argv)) return *status;
  if (const Result<> fits = check(options, console); !fits) {
    console.note("mesclun: " + fits.error().message);
    return 2;
  }
  // Who takes no output any more is told by an error, and the terminal is put right.
  std::signal(SIGPIPE, SIG_IGN);
  ExecControls controls;
  int status = 0;
  const Verb verb = [&](Session& s) { return exec_beside_instance(s, options, controls, status); };
  const int ended = run_verb(common, Needs::Project, console, environment, verb,
                             [&](int number) { return controls.take_signal(number, options.tty); });
  if (ended == 0) return status;
  return ended == 1 ? kOurFailure : ended;
}

int run_exec_command(int argc, char** argv) {
  return exec_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
