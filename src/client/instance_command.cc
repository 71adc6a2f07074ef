#include "client/commands.h"
#include "client/flags.h"
#include "client/instance_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples =
    R"(An ID may be shortened to a beginning that only one instance has; a machine's id works too.

Examples:
  mesclun instance list echo                       what runs where
  mesclun instance restart echo 3f2a               same machine, files kept
  mesclun instance recreate echo 3f2a              same machine, fresh container
  mesclun instance reallocate echo 3f2a            another machine; this one is left out for 48 h
  mesclun instance set-deletion-cost echo 3f2a 50  lower costs go first when scaling in)";

struct Options {
  CommonOptions common;
  InstanceName name;
  int64_t cost = 0;
  Verb verb;
};

void add_instance(CommandLine& verb, InstanceName& name) {
  verb.option("GROUP", name.group, "The group").required();
  verb.option("ID", name.id, "The instance").required();
}

void add_action(CommandLine& line, Options& o, const char* name, const char* help) {
  CommandLine& verb = line.verb(name, help);
  add_instance(verb, o.name);
  verb.when_named([&o, action = std::string(name)] {
    o.verb = [&o, action](Session& s) { return act_on_instance(s, o.name, action); };
  });
}

}  // namespace

int instance_command(int argc, char** argv, const Console& console,
                     const Environment& environment) {
  Options options;
  CommandLine line("Instances: the running copies of a group.", argv[0]);
  line.footer(kExamples);
  add_user_flags(line, options.common);
  CommandLine& list = line.verb("list", "All instances of a group");
  list.option("GROUP", options.name.group, "The group").required();
  list.when_named(
      [&o = options] { o.verb = [&o](Session& s) { return list_instances(s, o.name.group); }; });
  CommandLine& get = line.verb("get", "One instance");
  add_instance(get, options.name);
  get.when_named([&o = options] { o.verb = [&o](Session& s) { return get_instance(s, o.name); }; });
  add_action(line, options, "reallocate",
             "Move it to another machine; this one is left out for "
             "48 h");
  add_action(line, options, "recreate", "A fresh container on the same machine; files are lost");
  add_action(line, options, "restart", "Stop and start on the same machine; files are kept");
  CommandLine& cost = line.verb(
      "set-deletion-cost", "How much its loss would cost; the lowest goes first when scaling in");
  add_instance(cost, options.name);
  add_number(cost, "COST", options.cost, 0, 100'000, "The cost").required();
  cost.when_named([&o = options] {
    o.verb = [&o](Session& s) { return set_deletion_cost(s, o.name, o.cost); };
  });
  take_verbs(line);
  if (const auto status = line.parse(argc, argv)) return *status;
  return run_verb(options.common, Needs::Project, console, environment, options.verb);
}

int run_instance_command(int argc, char** argv) {
  return instance_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
