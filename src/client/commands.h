// The entry of every client command. argv[0] is "mesclun NAME". Returns the exit status: 0 done,
// 1 the cloud said no or cannot be reached, 2 wrong usage, 130 after Ctrl-C.
#pragma once

#include "client/context.h"
#include "client/output.h"

namespace mesclun::client {

int run_group_command(int argc, char** argv);
int run_instance_command(int argc, char** argv);
int run_run_command(int argc, char** argv);
int run_logs_command(int argc, char** argv);
int run_events_command(int argc, char** argv);
int run_exec_command(int argc, char** argv);
int run_node_command(int argc, char** argv);
int run_gateway_command(int argc, char** argv);  // list, forget
int run_token_command(int argc, char** argv);
int run_gpu_class_command(int argc, char** argv);
int run_org_command(int argc, char** argv);
int run_project_command(int argc, char** argv);
int run_key_command(int argc, char** argv);
int run_context_command(int argc, char** argv);
int run_load_command(int argc, char** argv);
int run_stats_command(int argc, char** argv);

// The same over given streams and a given environment, for tests.
int group_command(int argc, char** argv, const Console& console, const Environment& environment);
int instance_command(int argc, char** argv, const Console& console, const Environment& environment);
int run_command(int argc, char** argv, const Console& console, const Environment& environment);
int logs_command(int argc, char** argv, const Console& console, const Environment& environment);
int events_command(int argc, char** argv, const Console& console, const Environment& environment);
int exec_command(int argc, char** argv, const Console& console, const Environment& environment);
int node_command(int argc, char** argv, const Console& console, const Environment& environment);
int gateway_command(int argc, char** argv, const Console& console, const Environment& environment);
int token_command(int argc, char** argv, const Console& console, const Environment& environment);
int gpu_class_command(int argc, char** argv, const Console& console,
                      const Environment& environment);
int org_command(int argc, char** argv, const Console& console, const Environment& environment);
int project_command(int argc, char** argv, const Console& console, const Environment& environment);
int key_command(int argc, char** argv, const Console& console, const Environment& environment);
int context_command(int argc, char** argv, const Console& console, const Environment& environment);
int load_command(int argc, char** argv, const Console& console, const Environment& environment);
int stats_command(int argc, char** argv, const Console& console, const Environment& environment);

}  // namespace mesclun::client
