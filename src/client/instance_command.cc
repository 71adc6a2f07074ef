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

void add_instance(CLI::App& verb, InstanceName& name) {
  verb.add_option("GROUP", name.group, "The group")->required();
  verb.add_option("ID", name.id, "The instance")->required();
}

void add_action(CLI::App& app, Options& o, const char* name, const char* help) {
  CLI::App* verb = app.add_subcommand(name, help);
  add_instance(*verb, o.name);
  verb->callback([&o, action = std::string(name)] {
    o.verb = [&o, action](Session& s) { return act_on_instance(s, o.name, action); };
  });
}

}  // namespace

int instance_command(int argc, char** argv, const Console& console,
                     const Environment& environment) {
  Options options;
  CLI::App app("Instances: the running copies of a group.", argv[0]);
  app.footer(kExamples);
  add_user_flags(app, options.common);
  CLI::App* list = app.add_subcommand("list", "All instances of a group");
  list->add_option("GROUP", options.name.group, "The group")->required();
  list->callback(
      [&o = options] { o.verb = [&o](Session& s) { return list_instances(s, o.name.group); }; });
  CLI::App* get = app.add_subcommand("get", "One instance");
  add_instance(*get, options.name);
  get->callback([&o = options] { o.verb = [&o](Session& s) { return get_instance(s, o.name); }; });
  add_action(app, options, "reallocate",
             "Move it to another machine; this one is left out for "
             "48 h");
  add_action(app, options, "recreate", "A fresh container on the same machine; files are lost");
  add_action(app, options, "restart", "Stop and start on the same machine; files are kept");
  CLI::App* cost = app.add_subcommand(
      "set-deletion-cost", "How much its loss would cost; the lowest goes first when scaling in");
  add_instance(*cost, options.name);
  cost->add_option("COST", options.cost, "The cost")
      ->required()
      ->check(CLI::Range(int64_t{0}, int64_t{100'000}).description(""))
      ->type_name("INT 0..100000");
  cost->callback([&o = options] {
    o.verb = [&o](Session& s) { return set_deletion_cost(s, o.name, o.cost); };
  });
  take_verbs(app);
  if (const auto status = parse_command_line(app, argc, argv)) return *status;
  return run_verb(options.common, Needs::Project, console, environment, options.verb);
}

int run_instance_command(int argc, char** argv) {
  return instance_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
