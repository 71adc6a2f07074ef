// `mesclun run IMAGE -- COMMAND`: a container group in one line.
#include <fmt/format.h>

#include "client/commands.h"
#include "client/flags.h"
#include "client/group_verbs.h"

namespace mesclun::client {

namespace {

constexpr const char* kExamples = R"(Examples:
  mesclun run --port 8000 example/greeter -- python3 -m uvicorn main:app --host :: --port 8000
  mesclun run --name crunch --restart never --cpu 4 --memory 8GiB example/crunch -- ./crunch --all
  mesclun run --gpu rtx4090 --gpu rtx3090 --env MODEL=small --replicas 3 example/model

What it made is an ordinary group: mesclun group get NAME, logs NAME, group delete NAME.)";

constexpr size_t kNameMax = 63;

struct Options {
  CommonOptions common;
  std::string image;
  std::vector<std::string> command;
  std::string name;
  int64_t replicas = 1;
  int64_t cpu = 1;
  size_t memory_bytes = size_t{1} << 30;
  std::vector<std::string> gpu_classes;
  std::vector<std::string> environment;
  std::vector<std::string> countries;
  int64_t port = 0;  // 0: none
  bool auth = false;
  std::string restart = "always";
  WaitOptions wait{.wait = true};
};

// "ghcr.io/me/Echo_2:1" to "echo-2".
std::string name_of_image(std::string_view image) {
  image = image.substr(0, image.find('@'));
  image = image.substr(image.rfind('/') + 1);
  image = image.substr(0, image.find(':'));
  std::string name;
  for (char c : image) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter) {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!name.empty() && !name.ends_with('-')) {
      name += '-';
    }
  }
  name.resize(std::min(name.size(), kNameMax));
  while (name.ends_with('-')) name.pop_back();
  return name;
}

Result<json::value> group_of(const Options& o) {
  json::object variables;
  for (const std::string& text : o.environment) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return usage_error(fmt::format("--env '{}': write NAME=VALUE", text));
    }
    variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  json::object resources{{"cpu", o.cpu}, {"memory", o.memory_bytes >> 20}};
  if (!o.gpu_classes.empty()) {
    resources["gpu_classes"] = json::array(o.gpu_classes.begin(), o.gpu_classes.end());
  }
  json::object container{{"image", o.image},
                         {"command", json::array(o.command.begin(), o.command.end())},
                         {"resources", std::move(resources)},
                         {"environment_variables", std::move(variables)}};
  json::object group{{"name", o.name.empty() ? name_of_image(o.image) : o.name},
                     {"replicas", o.replicas},
                     {"autostart_policy", true},
                     {"restart_policy", o.restart},
                     {"container", std::move(container)}};
  if (!o.countries.empty()) {
    group["country_codes"] = json::array(o.countries.begin(), o.countries.end());
  }
  if (o.port > 0) {
    group["networking"] = json::object{{"protocol", "http"}, {"port", o.port}, {"auth", o.auth}};
  }
  return json::value(std::move(group));
}

void add_flags(CommandLine& line, Options& o) {
  line.option("--name", o.name, "Of the group; else the image's own name");
  add_number(line, "--replicas", o.replicas, 0, 500, "How many instances");
  add_number(line, "--cpu", o.cpu, 1, 1024, "Cores of each");
  add_bytes_setting(line, "--memory", o.memory_bytes, uint64_t{1} << 30, uint64_t{1} << 50,
                    "Memory of each");
  line.option("--gpu", o.gpu_classes, "A class of GPU that will do, such as rtx4090; repeatable")
      .one_value_each();
  line.option("-e,--env", o.environment, "For the environment; repeatable")
      .value_name("NAME=VALUE")
      .one_value_each();
  line.option("--country", o.countries, "Where it may run, such as de; repeatable")
      .one_value_each();
  add_number(line, "-p,--port", o.port, 1, 65535,
             "Where the application listens, to be called over the gateway");
  line.flag("--auth", o.auth, "Callers need an API key");
  line.choice("--restart", o.restart,
              {{"always", "always"}, {"on-failure", "on_failure"}, {"never", "never"}},
              "What follows when it ends");
  line.flag("--wait,!--no-wait", o.wait.wait, "Wait until it serves (on by default)");
  add_setting(line, "--timeout", o.wait.timeout, 1s, std::chrono::hours(24),
              "How long to wait; the group goes on afterwards");
  line.option("IMAGE", o.image, "The image; on machines with the process runtime only a name")
      .required();
  line.option("COMMAND", o.command, "What it runs; else what the image says");
}

}  // namespace

int run_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line("A container group in one line.", argv[0], "run");
  line.footer(kExamples);
  add_user_flags(line, options.common);
  add_flags(line, options);
  line.add_to_footer("\n\n" + std::string(kExitStatusHelp));
  if (const auto status = line.parse(argc, argv)) return *status;
  const Result<json::value> group = group_of(options);
  if (!group) {
    console.note("mesclun: " + group.error().message);
    return 2;
  }
  const Verb verb = [&](Session& s) { return create_group(s, *group, options.wait); };
  return run_verb(options.common, Needs::Project, console, environment, verb);
}

int run_run_command(int argc, char** argv) {
  return run_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
