#include "companion/companion_command.h"

#include <filesystem>

#include "base/command_line.h"
#include "base/file.h"
#include "base/log.h"
#include "companion/companion.h"
#include "companion/config_reader.h"

namespace mesclun::companion {

namespace {

constexpr const char* kDescription =
    "mesclun-app [--config FILE] -- COMMAND [ARG...]\n"
    "mesclun-app check-config [FILE]\n"
    "mesclun-app settings\n"
    "\n"
    "Runs an application and stands beside it: initial checks of the node, a bounded queue with\n"
    "back-pressure and batching in front of it, honest health, a watch over its speed.\n"
    "\n"
    "Made to be the entry point of a container: it is a proper process 1, hands signals on, "
    "buries\n"
    "orphans, and ends with the exit status of the application.";

constexpr const char* kFooter =
    "Without a file and without settings in the environment it only runs COMMAND. The file is\n"
    "--config, else $MESCLUN_APP_CONFIG, ./mesclun-app.yaml or /etc/mesclun-app.yaml. Every "
    "setting\n"
    "can also come from the environment: front.queue_max is $MESCLUN_APP_FRONT_QUEUE_MAX.\n"
    "\n"
    "Exit status: the application's own; 128+N when signal N ended it; 127 no such command, 126 "
    "it\n"
    "cannot be run; 2 wrong usage or settings; 1 when the companion ended the instance.\n"
    "\n"
    "Examples:\n"
    "  mesclun-app -- python3 worker.py\n"
    "  mesclun-app --config app.yaml -- uvicorn app:app --port 8001\n"
    "  MESCLUN_APP_FRONT_LISTEN=:8000 MESCLUN_APP_APPLICATION_ADDRESS=127.0.0.1:8001 \\\n"
    "      mesclun-app -- python3 server.py\n"
    "  mesclun-app check-config app.yaml\n"
    "  mesclun-app settings";

constexpr size_t kFileBytesMax = 1024 * 1024;

struct ConfigFile {
  std::string name;  // empty: there is none
  std::string text;
};

Result<ConfigFile> read_config(const std::string& name) {
  TRY(std::string text, read_file(name, kFileBytesMax));
  return ConfigFile{.name = name, .text = std::move(text)};
}

Result<ConfigFile> find_file(const std::string& asked, const Environment& environment) {
  if (!asked.empty()) return read_config(asked);
  if (const auto named = environment.find("MESCLUN_APP_CONFIG");
      named != environment.end() && !named->second.empty()) {
    return read_config(named->second);
  }
  for (const char* usual : {"mesclun-app.yaml", "/etc/mesclun-app.yaml"}) {
    std::error_code error;
    if (std::filesystem::is_regular_file(usual, error)) return read_config(usual);
  }
  return ConfigFile{};
}

Environment read_environment(char** environment) {
  Environment out;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const size_t equals = entry.find('=');
    if (equals != std::string_view::npos) {
      out.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return out;
}

void print_problems(const LoadedConfig& loaded) {
  for (const ConfigProblem& problem : loaded.problems) {
    fmt::print(stderr, "{}: {}\n", problem.where, problem.text);
  }
}

int check_config(const ConfigFile& file, const LoadedConfig& loaded) {
  print_problems(loaded);
  if (!loaded.problems.empty()) {
    fmt::print(stderr, "{} mistake{}; `mesclun-app settings` shows what there is\n",
               loaded.problems.size(), loaded.problems.size() == 1 ? "" : "s");
    return 2;
  }
  for (const ConfigValue& value : loaded.set) {
    fmt::print("{} = {}   ({})\n", value.path, value.value, value.where);
  }
  for (const std::string& name : loaded.ignored) {
    fmt::print("{} is ignored: it looks like a service link of Kubernetes\n", name);
  }
  fmt::print("{}: fine, {} setting{} given\n", file.name.empty() ? "no file" : file.name,
             loaded.set.size(), loaded.set.size() == 1 ? "" : "s");
  return 0;
}

}  // namespace

int run_companion_command(int argc, char** argv, char** environment) {
  // What follows -- is the application's, whatever it looks like.
  std::vector<std::string> command;
  bool has_command = false;
  int own = argc;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--") continue;
    own = i;
    has_command = true;
    command.assign(argv + i + 1, argv + argc);
    break;
  }

  CommandLine line(kDescription, "mesclun-app");
  line.footer(kFooter);
  std::string file_name;
  line.option("--config", file_name, "Settings, in YAML").value_name("FILE");
  line.version(std::string("mesclun-app ") + MESCLUN_VERSION);
  CommandLine& check = line.verb("check-config", "Explain mistakes in the settings");
  check.option("FILE", file_name, "Default: as without it");
  CommandLine& settings = line.verb("settings", "Show every setting, its range and default");
  line.require_verbs(0, 1);
  if (const auto status = line.parse(own, argv)) return *status;
  if (settings.named()) {
    fmt::print("{}", describe_settings());
    return 0;
  }

  const Environment variables = read_environment(environment);
  const Result<ConfigFile> file = find_file(file_name, variables);
  if (!file) return fail_usage("mesclun-app", file.error().message);
  LoadedConfig loaded =
      read_config(file->name.empty() ? "mesclun-app.yaml" : file->name, file->text, variables);
  if (check.named()) return check_config(*file, loaded);
  if (!has_command || command.empty()) {
    return fail_usage("mesclun-app", "there is no command to run: write -- and then the command");
  }
  if (!loaded.problems.empty()) {
    print_problems(loaded);
    return 2;
  }
  setup_logging(loaded.config.log);
  for (const std::string& name : loaded.ignored) {
    log_info("app", "ignored: it looks like a service link of Kubernetes", {{"variable", name}});
  }
  return run_companion(std::move(loaded.config), std::move(command));
}

}  // namespace mesclun::companion
