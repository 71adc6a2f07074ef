#include "client/commands.h"
#include "client/flags.h"
#include "client/group_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples = R"(Examples:
  mesclun group create -f echo.yaml --wait        create from a file, wait until it serves
  mesclun group list                              what there is, and where to call it
  mesclun group update echo --replicas 3          scale
  mesclun group update echo --set container.image=ghcr.io/me/echo:2
  mesclun group update echo --set container.environment_variables.DEBUG=null
  mesclun group get echo -o json | jq .current_state

A file is the API's own JSON, or YAML of the same shape:
  name: echo
  replicas: 2
  autostart_policy: true
  restart_policy: always
  container:
    image: ghcr.io/me/echo:1
    resources: {cpu: 1, memory: 1024}
  networking: {protocol: http, port: 8080, auth: false})";

void add_wait_flags(CLI::App& verb, WaitOptions& wait, const std::string& until) {
  verb.add_flag("--wait", wait.wait, "Wait until " + until);
  add_setting(verb, "--timeout", wait.timeout, 1s, std::chrono::hours(24),
              "How long --wait waits; the group goes on afterwards");
}

CLI::Option* add_name(CLI::App& verb, std::string& name) {
  return verb.add_option("NAME", name, "The group")->required();
}

struct Options {
  CommonOptions common;
  GroupCreateOptions create;
  GroupUpdateOptions update;
  std::string name;
  WaitOptions wait;
  Verb verb;
};

void add_create(CLI::App& app, Options& o) {
  CLI::App* verb = app.add_subcommand("create", "Create a group from a JSON or YAML file");
  verb->add_option("-f,--file", o.create.file, "The file; - is standard input")->required();
  add_wait_flags(*verb, o.create.wait,
                 "every replica is running and ready (or, without autostart_policy, until the "
                 "image is prepared)");
  verb->callback([&o] { o.verb = [&o](Session& s) { return create_group(s, o.create); }; });
}

void add_list_and_get(CLI::App& app, Options& o) {
  CLI::App* list = app.add_subcommand("list",
                                      "All groups of the project; * marks one that is "
                                      "still applying a change");
  list->callback([&o] { o.verb = [](Session& s) { return list_groups(s); }; });
  CLI::App* get = app.add_subcommand("get", "One group");
  add_name(*get, o.name);
  get->callback([&o] { o.verb = [&o](Session& s) { return get_group(s, o.name); }; });
}

void add_update(CLI::App& app, Options& o) {
  CLI::App* verb = app.add_subcommand(
      "update", "Change a group: only what is named changes, null removes (merge patch)");
  add_name(*verb, o.update.name);
  verb->add_option("-f,--file", o.update.file,
                   "A file with the members to change; - is standard "
                   "input");
  verb->add_option("--replicas", o.update.replicas, "How many instances")
      ->check(CLI::Range(int64_t{0}, int64_t{500}).description(""))
      ->type_name("INT 0..500");
  verb->add_option("--set", o.update.sets,
                   "One member, dots between the names, \\. for a dot in a name; repeatable")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
  add_wait_flags(*verb, o.update.wait, "the change is applied everywhere");
  verb->callback([&o] { o.verb = [&o](Session& s) { return update_group(s, o.update); }; });
}

void add_action(CLI::App& app, Options& o, const char* name, GroupAction action, const char* help,
                const char* until) {
  CLI::App* verb = app.add_subcommand(name, help);
  add_name(*verb, o.name);
  add_wait_flags(*verb, o.wait, until);
  verb->callback([&o, action] {
    o.verb = [&o, action](Session& s) { return act_on_group(s, o.name, action, o.wait); };
  });
}

}  // namespace

int group_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CLI::App app("Container groups: what should run, on how many machines, and where to call it.",
               argv[0]);
  app.footer(kExamples);
  add_user_flags(app, options.common);
  add_create(app, options);
  add_list_and_get(app, options);
  add_update(app, options);
  add_action(app, options, "start", GroupAction::Start, "Start a stopped group",
             "every replica is running and ready");
  add_action(app, options, "stop", GroupAction::Stop, "Stop a group: its instances end",
             "no instance is left");
  add_action(app, options, "delete", GroupAction::Delete,
             "Delete a group for good; its name cannot be used again", "no instance is left");
  take_verbs(app);
  if (const auto status = parse_command_line(app, argc, argv)) return *status;
  return run_verb(options.common, Needs::Project, console, environment, options.verb);
}

int run_group_command(int argc, char** argv) {
  return group_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
