// What makes a shell complete a program's commands, verbs and flags.
#pragma once

#include <string>
#include <vector>

namespace mesclun {

enum class Shell { Bash, Zsh, Fish };

// A script for the shell to read. The first word after `program` is one of `commands`; the words
// after it are those that the command itself prints (CommandLine::kWordsFlag), or files.
std::string completion_script(Shell shell, const std::string& program,
                              const std::vector<std::string>& commands);

}  // namespace mesclun
