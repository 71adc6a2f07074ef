// node, gateway and token: machines and what lets them in.
#include "client/commands.h"
#include "client/flags.h"
#include "client/machine_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kNodeExamples = R"(Examples:
  mesclun node list                       CPU and memory are used/all
  mesclun node list -o json | jq '.items[] | {hostname, state}'
  mesclun node get pc1                    its GPUs, how far it is from where, what runs there
  mesclun node forget old-pc              it is gone for good
  mesclun node ban 3f2a                   it must not come back
  mesclun node drain pc2 --wait           before it is repaired: what runs there moves off
  mesclun node drain pc2 --undo           it is back)";

constexpr const char* kGatewayExamples = R"(Examples:
  mesclun gateway list
  mesclun gateway forget old-gateway)";

constexpr const char* kTokenExamples = R"(Examples:
  mesclun token rotate join               for machines that are not known yet
  mesclun token rotate gateway > gateway.token)";

struct Options {
  CommonOptions common;
  std::string name;
  DrainOptions drain;
  Verb verb;
};

using NamedVerb = Task<Result<>> (*)(Session&, std::string);

void add_named(CommandLine& line, Options& options, const char* verb, const char* help,
               const char* argument, const char* argument_help, NamedVerb run) {
  CommandLine& added = line.verb(verb, help);
  added.option(argument, options.name, argument_help).required();
  added.when_named([&o = options, run] {
    o.verb = [&o, run](Session& session) { return run(session, o.name); };
  });
}

void add_drain(CommandLine& line, Options& options, const char* node_help) {
  CommandLine& drain = line.verb(
      "drain", "Nothing new for a machine, and what runs there moves off, each as it is followed");
  drain.option("NODE", options.drain.node, node_help).required();
  drain.flag("--undo", options.drain.undo, "It takes instances again");
  drain.flag("--wait", options.drain.wait, "Wait until nothing runs there");
  add_setting(drain, "--timeout", options.drain.timeout, 1s, std::chrono::hours(24),
              "How long --wait waits; the drain goes on afterwards");
  drain.when_named(
      [&o = options] { o.verb = [&o](Session& session) { return drain_node(session, o.drain); }; });
}

int parse_and_run(CommandLine& line, int argc, char** argv, const Console& console,
                  const Environment& environment, Options& options) {
  take_verbs(line);
  if (const auto status = line.parse(argc, argv)) return *status;
  return run_verb(options.common, Needs::Operator, console, environment, options.verb);
}

}  // namespace

int node_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Machines: what they have and what runs there (for operators).", argv[0]);
  line.footer(kNodeExamples);
  add_operator_flags(line, options.common);
  CommandLine& list = line.verb("list", "All machines");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_nodes(s); }; });
  constexpr const char* kNode = "Its machine id, a beginning of it, or its host name";
  add_named(line, options, "get", "What is known of a machine", "NODE", kNode, get_node);
  add_named(line, options, "forget", "Forget a machine that is gone", "NODE", kNode, forget_node);
  add_named(line, options, "ban", "Put a machine out and refuse it from now on", "NODE", kNode,
            ban_node);
  add_drain(line, options, kNode);
  add_named(line, options, "unban", "Let a banned machine in again", "NODE", kNode, unban_node);
  return parse_and_run(line, argc, argv, console, environment, options);
}

int gateway_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("The cloud's gateways (for operators).", argv[0]);
  line.footer(kGatewayExamples);
  add_operator_flags(line, options.common);
  CommandLine& list = line.verb("list", "All that are or were connected");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_gateways(s); }; });
  add_named(line, options, "forget", "Forget a gateway that is gone", "NAME", "The gateway",
            forget_gateway);
  return parse_and_run(line, argc, argv, console, environment, options);
}

int token_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Tokens that let machines in (for operators).", argv[0]);
  line.footer(kTokenExamples);
  add_operator_flags(line, options.common);
  add_named(line, options, "rotate", "Make a new one, which is printed; the old one is void",
            "NAME", "join or gateway", rotate_token);
  return parse_and_run(line, argc, argv, console, environment, options);
}

int run_node_command(int argc, char** argv) {
  return node_command(argc, argv, Console::standard(), process_environment());
}
int run_gateway_command(int argc, char** argv) {
  return gateway_command(argc, argv, Console::standard(), process_environment());
}
int run_token_command(int argc, char** argv) {
  return token_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
