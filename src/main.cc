// The `mesclun` binary: a table of its subcommands.
#include <fmt/format.h>
#include <malloc.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent_command.h"
#include "base/command_line.h"
#include "base/completion.h"
#include "base/standard_output.h"
#include "base/suggest.h"
#include "client/commands.h"
#include "client/context.h"
#include "cloud/cloud_command.h"
#include "cloud/cloud_host.h"
#include "gateway/gateway_command.h"
#include "runtime/shim/shim.h"
#include "sim/sim_command.h"
#include "up_command.h"

namespace {

struct Subcommand {
  std::string_view name;
  int (*run)(int argc, char** argv);
  std::string_view help;  // empty: for our own processes, not shown
};

int run_cloud_command(int argc, char** argv);
int run_completion_command(int argc, char** argv);

// With a verb it asks the cloud about gateways, without one it is a gateway.
int run_gateway_command(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  return verb == "list" || verb == "forget" ? mesclun::client::run_gateway_command(argc, argv)
                                            : mesclun::gateway::run_gateway_command(argc, argv);
}

constexpr Subcommand kSubcommands[] = {
    {"up", mesclun::run_up_command, "A whole cloud on this machine, in the foreground"},
    {"cloud", run_cloud_command, "The control plane alone"},
    {"gateway", run_gateway_command, "A gateway alone; list and forget them (operator)"},
    {"agent", mesclun::agent::run_agent_command, "The agent of a machine; pause, resume, drain"},
    {"run", mesclun::client::run_run_command, "A container group in one line"},
    {"group", mesclun::client::run_group_command, "Container groups: create, list, update, ..."},
    {"instance", mesclun::client::run_instance_command,
     "Instances: list, reallocate, restart, ..."},
    {"logs", mesclun::client::run_logs_command, "What the containers of a group print"},
    {"events", mesclun::client::run_events_command, "What the cloud did to a group, and why"},
    {"exec", mesclun::client::run_exec_command, "A command or a shell beside an instance"},
    {"stats", mesclun::client::run_stats_command, "What instances use: CPU, memory, requests"},
    {"load", mesclun::client::run_load_command,
     "Send requests to a service, as many as it can take"},
    {"node", mesclun::client::run_node_command,
     "Machines, what they have, what runs there; forget, ban"},
    {"token", mesclun::client::run_token_command, "Tokens of machines: rotate (operator)"},
    {"gpu-class", mesclun::client::run_gpu_class_command,
     "GPU classes: list, add, remove (operator)"},
    {"org", mesclun::client::run_org_command, "Organizations and their quotas (operator)"},
    {"project", mesclun::client::run_project_command, "Projects (operator)"},
    {"key", mesclun::client::run_key_command, "API keys (operator)"},
    {"sim", mesclun::sim::run_sim_command, "The control plane over a simulated fleet"},
    {"context", mesclun::client::run_context_command,
     "Which cloud the commands speak to: list, use, set, remove"},
    {"completion", run_completion_command, "For bash, zsh or fish: prints what completes commands"},
    {"shim", mesclun::runtime::run_shim_command, ""},
};

int usage(std::FILE* out, int status) {
  fmt::print(out,
             "Mesclun {}: a cloud made of machines that nobody controls\n\nUsage: mesclun COMMAND "
             "[OPTIONS]\n\n",
             MESCLUN_VERSION);
  for (const Subcommand& command : kSubcommands) {
    if (!command.help.empty()) fmt::print(out, "  {:<11} {}\n", command.name, command.help);
  }
  fmt::print(out, "\n`mesclun COMMAND --help` says more. Begin with `mesclun up`.\n");
  return status;
}

// Its operator can call it at once; users are for the operator to make.
int run_cloud_command(int argc, char** argv) {
  const auto ready = [](const mesclun::cloud::CloudHost& host, const std::string& data) {
    mesclun::client::ContextValues values;
    values.api = host.api().to_string();
    values.operator_key = host.secrets().operator_key;
    values.data = std::filesystem::absolute(data).lexically_normal().string();
    const auto written =
        mesclun::client::write_context(mesclun::client::process_environment(), std::move(values));
    if (!written) {
      mesclun::log_warning("cloud", "no context file: give the commands their addresses by flags",
                           {{"error", written.error().message}});
    }
  };
  return mesclun::cloud::run_cloud_command(argc, argv, ready);
}

std::vector<std::string> shown_names() {
  std::vector<std::string> names;
  for (const Subcommand& command : kSubcommands) {
    if (!command.help.empty()) names.emplace_back(command.name);
  }
  return names;
}

int run_completion_command(int argc, char** argv) {
  mesclun::CommandLine line(
      "Prints what a shell needs to complete the commands, verbs and flags of mesclun.\n"
      "  bash: source <(mesclun completion bash)\n"
      "  zsh:  source <(mesclun completion zsh)\n"
      "  fish: mesclun completion fish | source",
      argv[0]);
  mesclun::Shell shell = mesclun::Shell::Bash;
  line.choice("SHELL", shell,
              {{"bash", mesclun::Shell::Bash},
               {"zsh", mesclun::Shell::Zsh},
               {"fish", mesclun::Shell::Fish}},
              "Which shell")
      .required();
  if (const auto status = line.parse(argc, argv)) return *status;
  fmt::print("{}", mesclun::completion_script(shell, "mesclun", shown_names()));
  return 0;
}

int run(int argc, char** argv) {
  if (argc < 2) return usage(stderr, 2);
  const std::string_view name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") return usage(stdout, 0);
  if (name == "--version") {
    fmt::print("mesclun {}\n", MESCLUN_VERSION);
    return 0;
  }
  for (const Subcommand& command : kSubcommands) {
    if (command.name != name) continue;
    std::string program = "mesclun " + std::string(name);
    argv[1] = program.data();
    return command.run(argc - 1, argv + 1);
  }
  const std::string near = mesclun::near_names(name, shown_names());
  fmt::print(stderr, "mesclun: there is no command '{}'{}\n\n", name,
             near.empty() ? "" : "; did you mean " + near + "?");
  return usage(stderr, 2);
}

}  // namespace

int main(int argc, char** argv) {
  // glibc's fastbins are swept at every allocation of 1 KiB and more, which here is every read and
  // every larger coroutine; the per-thread cache before them does for small ones.
  ::mallopt(M_MXFAST, 0);
  return mesclun::with_output_written("mesclun", [&] { return run(argc, argv); });
}
