// gpu-class, org, project and key: the operator's commands, small enough for one source.
#include "client/commands.h"
#include "client/flags.h"
#include "client/operator_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kGpuClassExamples =
    R"(A group names the classes that it can use, by id or name (rtx4090 will do); a node finds out
its own.

Examples:
  mesclun gpu-class list
  mesclun gpu-class add 'RTX 6000 Ada (48 GB)' --price 0.90
  mesclun gpu-class remove 'RTX 6000 Ada (48 GB)')";

constexpr const char* kOrgExamples = R"(Examples:
  mesclun org create acme --display-name "Acme, Inc."
  mesclun org quota acme                  show the quotas
  mesclun org quota acme --replicas 200   change one)";

constexpr const char* kProjectExamples = R"(Examples:
  mesclun project create demo --organization acme
  mesclun project list --organization acme)";

constexpr const char* kKeyExamples =
    R"(A key acts for one user in every organization that the user belongs to.

Examples:
  mesclun key create --user mia --organization acme --organization demo
  mesclun key list
  mesclun key delete 7d0f3c1e-4a56-4b0e-9c55-0d3e1f6f2f61)";

struct Options {
  CommonOptions common;
  std::string name;
  std::string display_name;
  std::string price = "0";
  QuotaChange quota;
  std::vector<std::string> organizations;
  Verb verb;
};

int parse_and_run(CommandLine& line, int argc, char** argv, const Console& console,
                  const Environment& environment, Options& options, Needs needs) {
  take_verbs(line);
  if (const auto status = line.parse(argc, argv)) return *status;
  return run_verb(options.common, needs, console, environment, options.verb);
}

void add_quota(CommandLine& line, Options& o) {
  CommandLine& verb = line.verb("quota", "Show an organization's quotas, or change them");
  verb.option("NAME", o.name, "The organization").required();
  const auto add = [&](const char* flag, std::optional<int64_t>& value, const char* help) {
    add_number(verb, flag, value, 0, 2'147'483'647, help);
  };
  add("--replicas", o.quota.replicas, "Replicas of all groups together");
  add("--reallocations", o.quota.reallocations, "Reallocations a minute through the API");
  add("--recreates", o.quota.recreates, "Recreations a minute through the API");
  add("--restarts", o.quota.restarts, "Restarts a minute through the API");
  verb.when_named(
      [&o] { o.verb = [&o](Session& s) { return organization_quota(s, o.name, o.quota); }; });
}

}  // namespace

int gpu_class_command(int argc, char** argv, const Console& console,
                      const Environment& environment) {
  Options options;
  CommandLine line("Classes of GPUs that groups may ask for (for operators).", argv[0]);
  line.footer(kGpuClassExamples);
  add_operator_flags(line, options.common);
  CommandLine& list = line.verb("list", "All classes, and the price of an hour at each priority");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_gpu_classes(s); }; });
  CommandLine& add =
      line.verb("add", "Add a class; nodes that have such a GPU are offered at once");
  add.option("NAME", options.name,
             "As nodes tell it, with the memory: see the warning of `node list`")
      .required();
  add.option("--price", options.price, "Of an hour, for people to see");
  add.when_named(
      [&o = options] { o.verb = [&o](Session& s) { return add_gpu_class(s, o.name, o.price); }; });
  CommandLine& remove =
      line.verb("remove", "Remove a class that was added and that no group names");
  remove.option("NAME", options.name, "Its name or id").required();
  remove.when_named(
      [&o = options] { o.verb = [&o](Session& s) { return remove_gpu_class(s, o.name); }; });
  return parse_and_run(line, argc, argv, console, environment, options, Needs::Operator);
}

int org_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Organizations and their quotas (for operators).", argv[0]);
  line.footer(kOrgExamples);
  add_operator_flags(line, options.common);
  CommandLine& create = line.verb("create", "Create an organization");
  create.option("NAME", options.name, "Its name, for paths").required();
  create.option("--display-name", options.display_name, "Its name for people");
  create.when_named([&o = options] {
    o.verb = [&o](Session& s) { return create_organization(s, o.name, o.display_name); };
  });
  CommandLine& list = line.verb("list", "All organizations");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_organizations(s); }; });
  CommandLine& get = line.verb("get", "One organization");
  get.option("NAME", options.name, "The organization").required();
  get.when_named(
      [&o = options] { o.verb = [&o](Session& s) { return get_organization(s, o.name); }; });
  add_quota(line, options);
  return parse_and_run(line, argc, argv, console, environment, options, Needs::Operator);
}

int project_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Projects of an organization (for operators).", argv[0]);
  line.footer(kProjectExamples);
  add_operator_flags(line, options.common);
  add_context_flag(line, "--organization", options.common.context.organization, "Organization");
  CommandLine& create = line.verb("create", "Create a project");
  create.option("NAME", options.name, "Its name, for paths").required();
  create.when_named(
      [&o = options] { o.verb = [&o](Session& s) { return create_project(s, o.name); }; });
  CommandLine& list = line.verb("list", "All projects of the organization");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_projects(s); }; });
  return parse_and_run(line, argc, argv, console, environment, options,
                       Needs::OperatorInOrganization);
}

int key_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("API keys of users (for operators).", argv[0]);
  line.footer(kKeyExamples);
  add_operator_flags(line, options.common);
  CommandLine& create = line.verb("create", "Create a key; it is shown this once");
  create.option("--user", options.name, "Whose key it is").required();
  create
      .option("--organization", options.organizations,
              "An organization that the user belongs to; repeatable")
      .required();
  create.when_named([&o = options] {
    o.verb = [&o](Session& s) { return create_key(s, o.name, o.organizations); };
  });
  CommandLine& list = line.verb("list", "All keys, without the keys themselves");
  list.when_named([&o = options] { o.verb = [](Session& s) { return list_keys(s); }; });
  CommandLine& erase = line.verb("delete", "Delete a key: it stops working at once");
  erase.option("ID", options.name, "The key's id").required();
  erase.when_named([&o = options] { o.verb = [&o](Session& s) { return delete_key(s, o.name); }; });
  return parse_and_run(line, argc, argv, console, environment, options, Needs::Operator);
}

int run_gpu_class_command(int argc, char** argv) {
  return gpu_class_command(argc, argv, Console::standard(), process_environment());
}
int run_org_command(int argc, char** argv) {
  return org_command(argc, argv, Console::standard(), process_environment());
}
int run_project_command(int argc, char** argv) {
  return project_command(argc, argv, Console::standard(), process_environment());
}
int run_key_command(int argc, char** argv) {
  return key_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
