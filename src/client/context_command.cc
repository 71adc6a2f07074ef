// `mesclun context`: which cloud the commands speak to. Works on the context file alone.
#include <fmt/format.h>

#include "base/suggest.h"
#include "client/commands.h"
#include "client/flags.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples = R"(Examples:
  mesclun context list
  mesclun context use local-2
  mesclun context set work --api cloud.example:8800 --organization acme --project demo --api-key KEY
  MESCLUN_CONTEXT_NAME=work mesclun group list     for one command, without changing the current one)";

struct Options {
  OutputFormat format = OutputFormat::Table;
  std::string name;
  ContextValues values;
  std::function<Result<>(Contexts& contexts)> change;  // none: list
};

Result<ContextValues*> find(Contexts& contexts, const std::string& name) {
  const auto found = contexts.all.find(name);
  if (found != contexts.all.end()) return &found->second;
  std::vector<std::string> names;
  for (const auto& [known, values] : contexts.all) names.push_back(known);
  const std::string near = near_names(name, names);
  return Error::not_found(
      fmt::format("there is no context '{}'{}", name,
                  near.empty() ? "; see `mesclun context list`" : ". Did you mean " + near + "?"));
}

Result<> use(Contexts& contexts, const std::string& name) {
  TRY_DO(find(contexts, name));
  contexts.current = name;
  return {};
}

Result<> set(Contexts& contexts, const Options& o) {
  ContextValues& values = contexts.all[o.name];
  for (const auto member :
       {&ContextValues::api, &ContextValues::gateway, &ContextValues::organization,
        &ContextValues::project, &ContextValues::api_key, &ContextValues::operator_key}) {
    if (!(o.values.*member).empty()) values.*member = o.values.*member;
  }
  if (contexts.current.empty()) contexts.current = o.name;
  return {};
}

Result<> remove(Contexts& contexts, const std::string& name) {
  TRY_DO(find(contexts, name));
  contexts.all.erase(name);
  if (contexts.current == name) contexts.current.clear();
  return {};
}

void print(const Contexts& contexts, const Options& o, const Console& console) {
  if (o.format == OutputFormat::Json) {
    json::array items;
    for (const auto& [name, values] : contexts.all) {
      items.push_back(json::object{{"name", name},
                                   {"current", name == contexts.current},
                                   {"api", values.api},
                                   {"gateway", values.gateway},
                                   {"organization", values.organization},
                                   {"project", values.project}});
    }
    console.print(pretty_json(json::object{{"items", std::move(items)}}));
    return;
  }
  if (contexts.all.empty()) return console.note("No contexts. `mesclun up` writes one.");
  Table table({"", "NAME", "API", "GATEWAY", "ORGANIZATION", "PROJECT", "FOLDER"});
  for (const auto& [name, values] : contexts.all) {
    table.add({name == contexts.current ? "*" : "", name, values.api, values.gateway,
               values.organization, values.project, values.data});
  }
  console.print(table.render());
}

Result<> run(const Options& o, const Console& console, const Environment& environment) {
  TRY(const std::string path, context_path(environment));
  Contexts contexts;
  if (o.change) {
    TRY_DO(change_contexts(path, [&](Contexts& changed) -> Result<> {
      TRY_DO(o.change(changed));
      contexts = changed;
      return {};
    }));
  } else if (auto loaded = load_contexts(path)) {
    contexts = *std::move(loaded);
  } else if (loaded.code() != ErrorCode::NotFound) {
    return loaded.error();
  }
  print(contexts, o, console);
  return {};
}

void add_verbs(CommandLine& line, Options& o) {
  CommandLine& list = line.verb("list", "All contexts; * is the current one");
  list.alias("ls");
  const auto change = [&](CommandLine& verb, auto&& carry_out) {
    verb.option("NAME", o.name, "The context").required();
    verb.when_named([&o, carry_out] {
      o.change = [&o, carry_out](Contexts& contexts) { return carry_out(contexts, o); };
    });
  };
  change(line.verb("use", "Commands speak to this one from now on"),
         [](Contexts& contexts, const Options& of) { return use(contexts, of.name); });
  CommandLine& set_verb = line.verb("set", "Change what is named of a context, or make one");
  set_verb.option("--api", o.values.api, "The cloud's API, HOST:PORT");
  set_verb.option("--gateway", o.values.gateway, "The gateway, HOST:PORT");
  set_verb.option("--organization", o.values.organization, "Organization");
  set_verb.option("--project", o.values.project, "Project");
  set_verb.option("--api-key", o.values.api_key, "Your key");
  set_verb.option("--operator-key", o.values.operator_key, "The operator's key");
  change(set_verb, [](Contexts& contexts, const Options& of) { return set(contexts, of); });
  change(line.verb("remove", "Forget a context; the cloud itself stays as it is"),
         [](Contexts& contexts, const Options& of) { return remove(contexts, of.name); });
}

}  // namespace

int context_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("Clouds that the commands know, and which of them they speak to.", argv[0],
                   "context");
  line.footer(kExamples);
  line.choice("-o,--output", options.format,
              {{"table", OutputFormat::Table}, {"json", OutputFormat::Json}}, "What to print");
  add_verbs(line, options);
  take_verbs(line);
  if (const auto status = line.parse(argc, argv)) return *status;
  if (const Result<> done = run(options, console, environment); !done) {
    console.note("mesclun: " + done.error().message);
    return 1;
  }
  return 0;
}

int run_context_command(int argc, char** argv) {
  return context_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
