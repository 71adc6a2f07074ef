// The flags of every client command.
#pragma once

#include "base/command_line.h"
#include "client/command.h"

namespace mesclun::client {

inline constexpr const char* kExitStatusHelp =
    "Exit status: 0 done, 1 the cloud said no or cannot be reached, 2 wrong usage, 130 after "
    "Ctrl-C.";

// Looked up by resolve_context(), not by the command line, so that an error can say where a value
// came from.
CommandOption add_context_flag(CommandLine& line, const std::string& flag, std::string& value,
                               const std::string& help);
// Only what says which cloud, project and key: for a command whose other flags are its own.
void add_user_context_flags(CommandLine& line, CommonOptions& options);
// For commands of users.
void add_user_flags(CommandLine& line, CommonOptions& options);
// For commands of operators.
void add_operator_flags(CommandLine& line, CommonOptions& options);
// Verbs of a command: exactly one must be named, and flags may stand before or after it.
void take_verbs(CommandLine& line);

}  // namespace mesclun::client
