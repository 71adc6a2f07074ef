#include "client/commands.h"
#include "client/flags.h"
#include "client/group_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples = R"(Examples:
  mesclun group create -f echo.yaml --wait        create from a file, wait until it serves
  mesclun group list                              what there is, and where to call it
  mesclun group scale echo 3                      more instances, or fewer
  mesclun group get echo -o json | mesclun group create -f - --name echo-2
  mesclun group update echo --set container.image=ghcr.io/me/echo:2
  mesclun group update echo --set container.environment_variables.DEBUG=null
  mesclun group history echo                      its versions
  mesclun group rollback echo                     back to the one before
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

void add_wait_flags(CommandLine& verb, WaitOptions& wait, const std::string& until) {
  verb.flag("--wait", wait.wait, "Wait until " + until);
  add_setting(verb, "--timeout", wait.timeout, 1s, std::chrono::hours(24),
              "How long --wait waits; the group goes on afterwards");
}

CommandOption add_name(CommandLine& verb, std::string& name) {
  return verb.option("NAME", name, "The group").required();
}

struct Options {
  CommonOptions common;
  GroupCreateOptions create;
  GroupUpdateOptions update;
  std::string name;
  bool at_once = false;
  bool clear = false;
  std::string machine;
  std::optional<int64_t> version;
  WaitOptions wait;
  Verb verb;
};

void add_create(CommandLine& line, Options& o) {
  CommandLine& verb = line.verb(
      "create",
      "Create a group from a JSON or YAML file, or one from each document of a YAML file");
  verb.option("-f,--file", o.create.file, "The file; - is standard input").required();
  verb.option("--name", o.create.name, "In place of the name in the file");
  add_wait_flags(verb, o.create.wait,
                 "every replica is running and ready (or, without autostart_policy, until the "
                 "image is prepared)");
  verb.when_named([&o] { o.verb = [&o](Session& s) { return create_group(s, o.create); }; });
}

void add_list_and_get(CommandLine& line, Options& o) {
  CommandLine& list = line.verb("list",
                                "All groups of the project; * marks one that is "
                                "still applying a change");
  list.alias("ls");
  list.when_named([&o] { o.verb = [](Session& s) { return list_groups(s); }; });
  CommandLine& get = line.verb("get", "One group");
  get.alias("describe");
  add_name(get, o.name);
  get.when_named([&o] { o.verb = [&o](Session& s) { return get_group(s, o.name); }; });
}

void add_update(CommandLine& line, Options& o) {
  CommandLine& verb =
      line.verb("update", "Change a group: only what is named changes, null removes (merge patch)");
  add_name(verb, o.update.name);
  verb.option("-f,--file", o.update.file,
              "A file with the members to change; - is standard "
              "input");
  add_number(verb, "--replicas", o.update.replicas, 0, 500, "How many instances");
  verb.option("--set", o.update.sets,
              "One member, dots between the names, \\. for a dot in a name; repeatable")
      .value_name("PATH=VALUE")
      .one_value_each();
  verb.option("--at-once", o.update.at_once,
              "How many instances go over to a new version at once, from now on; 100% starts all "
              "anew together, default is what the cloud does")
      .value_name("NUMBER, SHARE% or default");
  add_wait_flags(verb, o.update.wait, "the change is applied everywhere");
  verb.when_named([&o] { o.verb = [&o](Session& s) { return update_group(s, o.update); }; });
}

void add_versions(CommandLine& line, Options& o) {
  CommandLine& history =
      line.verb("history", "The versions of a group: since when, and what they changed");
  add_name(history, o.name);
  history.when_named([&o] { o.verb = [&o](Session& s) { return group_history(s, o.name); }; });
  CommandLine& rollback = line.verb("rollback", "Bring a former version back, as a new version");
  add_name(rollback, o.name);
  add_number(rollback, "--to", o.version, 1, INT32_MAX, "Which; else the one before")
      .value_name("VERSION");
  add_wait_flags(rollback, o.wait, "it is applied everywhere");
  rollback.when_named([&o] {
    o.verb = [&o](Session& s) { return roll_back_group(s, o.name, o.version, o.wait); };
  });
}

void add_scale_and_restart(CommandLine& line, Options& o) {
  CommandLine& scale = line.verb("scale", "How many instances");
  add_name(scale, o.update.name);
  add_number(scale, "REPLICAS", o.update.replicas, 0, 500, "The number").required();
  add_wait_flags(scale, o.update.wait, "the change is applied everywhere");
  scale.when_named([&o] { o.verb = [&o](Session& s) { return update_group(s, o.update); }; });
  CommandLine& restart = line.verb(
      "restart", "Restart the instances, one after the other as each serves again; files stay");
  add_name(restart, o.name);
  restart.flag("--at-once", o.at_once, "All at once, without waiting");
  add_setting(restart, "--timeout", o.wait.timeout, 1s, std::chrono::hours(24),
              "How long it may take in all");
  restart.when_named([&o] {
    o.verb = [&o](Session& s) { return restart_group(s, o.name, o.at_once, o.wait.timeout); };
  });
}

void add_exclusions(CommandLine& line, Options& o) {
  CommandLine& verb =
      line.verb("exclusions", "Machines that the group is kept away from, until when, and why");
  add_name(verb, o.name);
  verb.option("MACHINE", o.machine, "With --clear: only this one");
  verb.flag("--clear", o.clear, "Offer them to the group again, at once");
  verb.when_named([&o] {
    o.verb = [&o](Session& s) { return group_exclusions(s, o.name, o.clear, o.machine); };
  });
}

void add_action(CommandLine& line, Options& o, const char* name, GroupAction action,
                const char* help, const char* until) {
  CommandLine& verb = line.verb(name, help);
  add_name(verb, o.name);
  add_wait_flags(verb, o.wait, until);
  verb.when_named([&o, action] {
    o.verb = [&o, action](Session& s) { return act_on_group(s, o.name, action, o.wait); };
  });
}

}  // namespace

int group_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Container groups: what should run, on how many machines, and where to call it.",
                   argv[0], "group");
  line.footer(kExamples);
  add_user_flags(line, options.common);
  add_create(line, options);
  add_list_and_get(line, options);
  add_update(line, options);
  add_versions(line, options);
  add_scale_and_restart(line, options);
  add_exclusions(line, options);
  add_action(line, options, "start", GroupAction::Start, "Start a stopped group",
             "every replica is running and ready");
  add_action(line, options, "stop", GroupAction::Stop, "Stop a group: its instances end",
             "no instance is left");
  add_action(line, options, "delete", GroupAction::Delete,
             "Delete a group for good; its name stays taken for a day (`mesclun cloud "
             "--deleted-retention`)",
             "no instance is left");
  take_verbs(line);
  if (const auto status = line.parse(argc, argv)) return *status;
  return run_verb(options.common, Needs::Project, console, environment, options.verb);
}

int run_group_command(int argc, char** argv) {
  return group_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
