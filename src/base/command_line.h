// Command lines: options, settings, verbs, --help. A façade over CLI11, whose header costs seconds
// in each source that sees it: command_line.cc alone does.
//
// Every number a user may change is a setting: a name, a default, a unit, a range, shown by --help,
// and an environment variable: MESCLUN_<NAME>, or MESCLUN_<ROLE>_<NAME> for a program that serves.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/socket_conn.h"
#include "base/units.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace mesclun {

// An option, flag or positional argument of a CommandLine. A handle: copy it freely, as long as the
// command line lives.
class CommandOption {
 public:
  explicit CommandOption(CLI::Option* option) : option_(option) {}

  CommandOption required();
  CommandOption heading(const std::string& text);  // under which --help lists it
  // The kind of value that --help shows: "FILE", "PATH=VALUE".
  CommandOption value_name(const std::string& text);
  CommandOption shown_default(const std::string& text);
  CommandOption environment(const std::string& variable);
  CommandOption excludes(const std::string& other_flag);
  // Given twice it takes two values, but never several after one flag.
  CommandOption one_value_each();
  // `problem` returns what is wrong with a value, or nothing.
  CommandOption check(std::function<std::string(const std::string&)> problem);

  // Whether the user gave it, also by the environment; valid after parsing.
  bool given() const;

 private:
  CLI::Option* option_;
};

// Values outlive the command line: parsing writes into them.
class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& program);
  // Of a program that serves: its role, "cloud", is in the names of its variables, so that they
  // never mean something to the commands of who calls it.
  CommandLine(const std::string& description, const std::string& program, const std::string& role);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // "--name", "-n,--name", or "NAME" for a positional argument.
  CommandOption option(const std::string& flag, std::string& value, const std::string& help);
  CommandOption option(const std::string& flag, std::vector<std::string>& values,
                       const std::string& help);
  // `read` takes the value in; the message of its error says what is wrong with it.
  using Reader = std::function<Result<>(const std::string&)>;
  CommandOption option(const std::string& flag, Reader read, const std::string& help);
  // "--x", or "--x,!--no-x".
  CommandOption flag(const std::string& flag, bool& value, const std::string& help);
  // One of a few words; `chosen` gets the place of the word in `words`, of which words[initial] is
  // the default.
  CommandOption choice(const std::string& flag, std::vector<std::string> words, size_t initial,
                       std::function<void(size_t)> chosen, const std::string& help);
  template <class E>
  CommandOption choice(const std::string& flag, E& value,
                       const std::vector<std::pair<std::string, E>>& choices,
                       const std::string& help) {
    std::vector<std::string> words;
    std::vector<E> values;
    size_t initial = 0;
    for (const auto& [word, meaning] : choices) {
      if (meaning == value) initial = words.size();
      words.push_back(word);
      values.push_back(meaning);
    }
    auto chosen = [&value, values = std::move(values)](size_t i) { value = values[i]; };
    return choice(flag, std::move(words), initial, std::move(chosen), help);
  }

  void footer(const std::string& text);
  std::string name() const;
  void version(const std::string& text);  // --version prints it

  // A verb with flags of its own; lives as long as this does.
  CommandLine& verb(const std::string& name, const std::string& help);
  // Another name for this verb.
  void alias(const std::string& name);
  void when_named(std::function<void()> call);  // of a verb: called at the end of parsing
  bool named() const;                           // of a verb: the user wrote it
  std::span<const std::unique_ptr<CommandLine>> verbs() const { return verbs_; }
  // How many verbs may be named.
  void require_verbs(size_t min, size_t max);
  // Flags of the command itself may stand behind the verb.
  void allow_outer_flags();
  // Adds to what footer() said.
  void add_to_footer(const std::string& text);

  // "--node-grace" to "MESCLUN_CLOUD_NODE_GRACE".
  std::string variable_of(std::string_view flag) const;

  // Returns the exit status when the program should end now: 0 after --help, 2 for wrong usage,
  // which is printed. An unknown verb is told with the nearest one and the choices. With
  // kWordsFlag as the last argument it prints what may stand next, one word a line: for completion
  // by shells.
  static constexpr std::string_view kWordsFlag = "--words-for-completion";
  std::optional<int> parse(int argc, char** argv);

 private:
  explicit CommandLine(CLI::App* app);
  const CommandLine& innermost(int argc, char** argv) const;
  void print_words() const;
  // The word where a verb should stand, if that is what went wrong.
  std::string unknown_verb() const;

  std::string variable_prefix_ = "MESCLUN_";
  std::unique_ptr<CLI::App> owned_;  // none for a verb
  CLI::App* app_;
  std::vector<std::unique_ptr<CommandLine>> verbs_;
};

// For what is wrong with flags that parse() took: prints it as parse() does, and returns its status, 2.
int fail_usage(std::string_view program, std::string_view text);

// "--log-level" to "MESCLUN_LOG_LEVEL": of what means the same to every program.
std::string common_variable_of(std::string_view flag);

// --help prints "--name TYPE MIN..MAX=DEFAULT (Env:NAME)". A value out of range is a usage error
// that repeats the range.
CommandOption add_setting(CommandLine& line, const std::string& flag, Duration& value, Duration min,
                          Duration max, const std::string& help);
CommandOption add_bytes_setting(CommandLine& line, const std::string& flag, size_t& value,
                                uint64_t min, uint64_t max, const std::string& help);
// For int, int64_t, uint64_t (size_t) and double.
template <class T>
  requires std::is_arithmetic_v<T>
CommandOption add_setting(CommandLine& line, const std::string& flag, T& value, T min, T max,
                          const std::string& help);
CommandOption add_setting(CommandLine& line, const std::string& flag, std::string& value,
                          const std::string& help);
// May be given several times, one value each: `value_name` is the kind, such as "FILE".
CommandOption add_setting(CommandLine& line, const std::string& flag,
                          std::vector<std::string>& values, const std::string& value_name,
                          const std::string& help);
// HOST:PORT.
CommandOption add_setting(CommandLine& line, const std::string& flag, Endpoint& value,
                          const std::string& help);
// A number without a default and without a variable, for verbs.
CommandOption add_number(CommandLine& line, const std::string& flag, int64_t& value, int64_t min,
                         int64_t max, const std::string& help);
CommandOption add_number(CommandLine& line, const std::string& flag, std::optional<int64_t>& value,
                         int64_t min, int64_t max, const std::string& help);
void add_log_settings(CommandLine& line, LogSettings& settings);
// The same settings as arguments, for a process of ours.
std::vector<std::string> log_arguments(const LogSettings& settings);

}  // namespace mesclun
