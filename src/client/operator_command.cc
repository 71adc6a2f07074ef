// node, org, project and key: the operator's commands, small enough for one source.
#include "client/commands.h"
#include "client/flags.h"
#include "client/operator_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kNodeExamples = R"(Examples:
  mesclun node list                       CPU and memory are used/all
  mesclun node list -o json | jq '.items[] | {hostname, state}')";

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
  QuotaChange quota;
  std::vector<std::string> organizations;
  Verb verb;
};

int parse_and_run(CLI::App& app, int argc, char** argv, const Console& console,
                  const Environment& environment, Options& options, Needs needs) {
  take_verbs(app);
  if (const auto status = parse_command_line(app, argc, argv)) return *status;
  return run_verb(options.common, needs, console, environment, options.verb);
}

void add_quota(CLI::App& app, Options& o) {
  CLI::App* verb = app.add_subcommand("quota", "Show an organization's quotas, or change them");
  verb->add_option("NAME", o.name, "The organization")->required();
  const auto add = [&](const char* flag, std::optional<int64_t>& value, const char* help) {
    verb->add_option(flag, value, help)
        ->check(CLI::Range(int64_t{0}, int64_t{2'147'483'647}).description(""))
        ->type_name("INT 0..2147483647");
  };
  add("--replicas", o.quota.replicas, "Replicas of all groups together");
  add("--reallocations", o.quota.reallocations, "Reallocations a minute through the API");
  add("--recreates", o.quota.recreates, "Recreations a minute through the API");
  add("--restarts", o.quota.restarts, "Restarts a minute through the API");
  verb->callback(
      [&o] { o.verb = [&o](Session& s) { return organization_quota(s, o.name, o.quota); }; });
}

}  // namespace

int node_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CLI::App app("Machines: what they have and what runs there (for operators).", argv[0]);
  app.footer(kNodeExamples);
  add_operator_flags(app, options.common);
  CLI::App* list = app.add_subcommand("list", "All machines");
  list->callback([&o = options] { o.verb = [](Session& s) { return list_nodes(s); }; });
  return parse_and_run(app, argc, argv, console, environment, options, Needs::Operator);
}

int org_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CLI::App app("Organizations and their quotas (for operators).", argv[0]);
  app.footer(kOrgExamples);
  add_operator_flags(app, options.common);
  CLI::App* create = app.add_subcommand("create", "Create an organization");
  create->add_option("NAME", options.name, "Its name, for paths")->required();
  create->add_option("--display-name", options.display_name, "Its name for people");
  create->callback([&o = options] {
    o.verb = [&o](Session& s) { return create_organization(s, o.name, o.display_name); };
  });
  CLI::App* list = app.add_subcommand("list", "All organizations");
  list->callback([&o = options] { o.verb = [](Session& s) { return list_organizations(s); }; });
  CLI::App* get = app.add_subcommand("get", "One organization");
  get->add_option("NAME", options.name, "The organization")->required();
  get->callback(
      [&o = options] { o.verb = [&o](Session& s) { return get_organization(s, o.name); }; });
  add_quota(app, options);
  return parse_and_run(app, argc, argv, console, environment, options, Needs::Operator);
}

int project_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CLI::App app("Projects of an organization (for operators).", argv[0]);
  app.footer(kProjectExamples);
  add_operator_flags(app, options.common);
  add_context_flag(app, "--organization", options.common.context.organization, "Organization");
  CLI::App* create = app.add_subcommand("create", "Create a project");
  create->add_option("NAME", options.name, "Its name, for paths")->required();
  create->callback(
      [&o = options] { o.verb = [&o](Session& s) { return create_project(s, o.name); }; });
  CLI::App* list = app.add_subcommand("list", "All projects of the organization");
  list->callback([&o = options] { o.verb = [](Session& s) { return list_projects(s); }; });
  return parse_and_run(app, argc, argv, console, environment, options,
                       Needs::OperatorInOrganization);
}

int key_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CLI::App app("API keys of users (for operators).", argv[0]);
  app.footer(kKeyExamples);
  add_operator_flags(app, options.common);
  CLI::App* create = app.add_subcommand("create", "Create a key; it is shown this once");
  create->add_option("--user", options.name, "Whose key it is")->required();
  create
      ->add_option("--organization", options.organizations,
                   "An organization that the user belongs to; repeatable")
      ->required();
  create->callback([&o = options] {
    o.verb = [&o](Session& s) { return create_key(s, o.name, o.organizations); };
  });
  CLI::App* list = app.add_subcommand("list", "All keys, without the keys themselves");
  list->callback([&o = options] { o.verb = [](Session& s) { return list_keys(s); }; });
  CLI::App* erase = app.add_subcommand("delete", "Delete a key: it stops working at once");
  erase->add_option("ID", options.name, "The key's id")->required();
  erase->callback([&o = options] { o.verb = [&o](Session& s) { return delete_key(s, o.name); }; });
  return parse_and_run(app, argc, argv, console, environment, options, Needs::Operator);
}

int run_node_command(int argc, char** argv) {
  return node_command(argc, argv, Console::standard(), process_environment());
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
