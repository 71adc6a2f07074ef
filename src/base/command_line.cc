#include "base/command_line.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/suggest.h"

namespace mesclun {

namespace {

// "-o,--output" to "--output": the name that errors carry.
std::string long_name(const std::string& flag) {
  return flag.substr(flag.rfind(',') + 1);
}

template <class T>
Result<T> parse_number(std::string_view text) {
  T number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size()) return number;
  if (failure == std::errc::result_out_of_range) {
    return Error::invalid(fmt::format("{} is too large", text));
  }
  return Error::invalid(
      fmt::format("'{}' is not a {}number", text, std::is_integral_v<T> ? "whole " : ""));
}

constexpr std::string_view kCommonPrefix = "MESCLUN_";

// "--node-grace" to "NODE_GRACE".
std::string upper_name(std::string_view flag) {
  std::string name;
  for (char c : flag.substr(flag.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// A reader that takes only what lies within the range. `parse` and `format` are those of the unit.
template <class T, class Parse, class Format>
CommandLine::Reader read_within(T& value, T min, T max, Parse parse, Format format) {
  return [&value, min, max, parse, format](const std::string& text) -> Result<> {
    TRY(const T read, parse(text));
    if (read < min || read > max) {
      return Error::invalid(
          fmt::format("{} is not between {} and {}", text, format(min), format(max)));
    }
    value = read;
    return {};
  };
}

template <class T>
CommandOption add_read_number(CommandLine& line, const std::string& flag, T& value, T min, T max,
                              const std::string& help) {
  const auto format = [](T number) { return fmt::format("{}", number); };
  return line.option(flag, read_within(value, min, max, parse_number<T>, format), help)
      .value_name(fmt::format("{} {}..{}", std::is_integral_v<T> ? "INT" : "NUMBER", min, max));
}

}  // namespace

CommandOption CommandOption::required() {
  option_->required();
  // What must be given names something, and nothing is named ''.
  option_->check([](const std::string& value) -> std::string {
    return value.empty() ? "must not be empty" : "";
  });
  return *this;
}

CommandOption CommandOption::heading(const std::string& text) {
  option_->group(text);
  return *this;
}

CommandOption CommandOption::value_name(const std::string& text) {
  option_->type_name(text);
  return *this;
}

CommandOption CommandOption::shown_default(const std::string& text) {
  option_->default_str(text);
  return *this;
}

CommandOption CommandOption::environment(const std::string& variable) {
  option_->envname(variable);
  return *this;
}

CommandOption CommandOption::excludes(const std::string& other_flag) {
  option_->excludes(other_flag);
  return *this;
}

CommandOption CommandOption::one_value_each() {
  option_->allow_extra_args(false);
  return *this;
}

CommandOption CommandOption::check(std::function<std::string(const std::string&)> problem) {
  option_->check(std::move(problem));
  return *this;
}

bool CommandOption::given() const {
  return option_->count() > 0;
}

CommandLine::CommandLine(const std::string& description, const std::string& program)
    : owned_(std::make_unique<CLI::App>(description, program)), app_(owned_.get()) {}

CommandLine::CommandLine(const std::string& description, const std::string& program,
                         const std::string& role)
    : CommandLine(description, program) {
  variable_prefix_ = common_variable_of(role) + "_";
}

CommandLine::CommandLine(CLI::App* app) : app_(app) {}

CommandLine::~CommandLine() = default;

CommandOption CommandLine::option(const std::string& flag, std::string& value,
                                  const std::string& help) {
  return CommandOption(app_->add_option(flag, value, help));
}

CommandOption CommandLine::option(const std::string& flag, std::vector<std::string>& values,
                                  const std::string& help) {
  return CommandOption(app_->add_option(flag, values, help));
}

CommandOption CommandLine::option(const std::string& flag, Reader read, const std::string& help) {
  // CLI11 tells of a bad value by an exception only.
  auto set = [name = long_name(flag), read = std::move(read)](const std::string& text) {
    if (const Result<> done = read(text); !done) {
      throw CLI::ValidationError(name, done.error().message);
    }
  };
  return CommandOption(app_->add_option_function<std::string>(flag, set, help));
}

CommandOption CommandLine::flag(const std::string& flag, bool& value, const std::string& help) {
  return CommandOption(app_->add_flag(flag, value, help));
}

CommandOption CommandLine::choice(const std::string& flag, std::vector<std::string> words,
                                  size_t initial, std::function<void(size_t)> chosen,
                                  const std::string& help) {
  const std::string all = fmt::format("{}", fmt::join(words, "|"));
  const std::string shown = words[initial];
  auto read = [words = std::move(words),
               chosen = std::move(chosen)](const std::string& text) -> Result<> {
    const auto found = std::ranges::find(words, text);
    if (found == words.end()) {
      return Error::invalid(fmt::format("must be {}, not '{}'", fmt::join(words, " or "), text));
    }
    chosen(static_cast<size_t>(found - words.begin()));
    return {};
  };
  return option(flag, std::move(read), help).value_name(all).shown_default(shown);
}

void CommandLine::footer(const std::string& text) {
  app_->footer(text);
}

void CommandLine::add_to_footer(const std::string& text) {
  app_->footer(app_->get_footer() + text);
}

std::string CommandLine::name() const {
  return app_->get_name();
}

void CommandLine::version(const std::string& text) {
  app_->set_version_flag("--version", text);
}

CommandLine& CommandLine::verb(const std::string& name, const std::string& help) {
  CLI::App* const app = app_->add_subcommand(name, help);
  verbs_.push_back(std::unique_ptr<CommandLine>(new CommandLine(app)));
  verbs_.back()->variable_prefix_ = variable_prefix_;
  return *verbs_.back();
}

void CommandLine::when_named(std::function<void()> call) {
  app_->callback(std::move(call));
}

bool CommandLine::named() const {
  return app_->parsed();
}

void CommandLine::require_verbs(size_t min, size_t max) {
  app_->require_subcommand(min, max);
}

void CommandLine::allow_outer_flags() {
  app_->fallthrough();
}

void CommandLine::alias(const std::string& name) {
  app_->alias(name);
}

const CommandLine& CommandLine::innermost(int argc, char** argv) const {
  for (int i = 1; i < argc; ++i) {
    for (const auto& verb : verbs_) {
      if (verb->app_->check_name(argv[i])) return *verb;
    }
  }
  return *this;
}

void CommandLine::print_words() const {
  for (const auto& verb : verbs_) fmt::print("{}\n", verb->name());
  for (const CLI::Option* option : app_->get_options()) {
    for (const std::string& flag : option->get_lnames()) fmt::print("--{}\n", flag);
  }
}

std::string CommandLine::unknown_verb() const {
  if (verbs_.empty() || !app_->get_subcommands().empty()) return "";
  for (const std::string& word : app_->remaining()) {
    if (!word.starts_with('-')) return word;
  }
  return "";
}

std::optional<int> CommandLine::parse(int argc, char** argv) {
  if (argc > 1 && argv[argc - 1] == kWordsFlag) {
    const CommandLine& inner = innermost(argc - 1, argv);
    inner.print_words();
    if (&inner != this) print_words();
    return 0;
  }
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (const std::string word = unknown_verb(); !word.empty()) {
      std::vector<std::string> names;
      for (const auto& verb : verbs_) names.push_back(verb->name());
      const std::string near = near_names(word, names);
      fmt::print(stderr, "{}: there is no verb '{}'{}\nVerbs: {}\n", name(), word,
                 near.empty() ? "" : "; did you mean " + near + "?", fmt::join(names, ", "));
      return 2;
    }
    return app_->exit(e) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

std::string CommandLine::variable_of(std::string_view flag) const {
  return variable_prefix_ + upper_name(flag);
}

int fail_usage(std::string_view program, std::string_view text) {
  fmt::print(stderr, "{}: {}\nRun with --help for more information.\n", program, text);
  return 2;
}

std::string common_variable_of(std::string_view flag) {
  return std::string(kCommonPrefix) + upper_name(flag);
}

CommandOption add_setting(CommandLine& line, const std::string& flag, Duration& value, Duration min,
                          Duration max, const std::string& help) {
  return line.option(flag, read_within(value, min, max, parse_duration, format_duration), help)
      .value_name(fmt::format("DURATION {}..{}", format_duration(min), format_duration(max)))
      .shown_default(format_duration(value))
      .environment(line.variable_of(flag));
}

CommandOption add_bytes_setting(CommandLine& line, const std::string& flag, size_t& value,
                                uint64_t min, uint64_t max, const std::string& help) {
  return line.option(flag, read_within<uint64_t>(value, min, max, parse_bytes, format_bytes), help)
      .value_name(fmt::format("BYTES {}..{}", format_bytes(min), format_bytes(max)))
      .shown_default(format_bytes(value))
      .environment(line.variable_of(flag));
}

template <class T>
  requires std::is_arithmetic_v<T>
CommandOption add_setting(CommandLine& line, const std::string& flag, T& value, T min, T max,
                          const std::string& help) {
  return add_read_number(line, flag, value, min, max, help)
      .shown_default(fmt::format("{}", value))
      .environment(line.variable_of(flag));
}

template CommandOption add_setting<int>(CommandLine&, const std::string&, int&, int, int,
                                        const std::string&);
template CommandOption add_setting<int64_t>(CommandLine&, const std::string&, int64_t&, int64_t,
                                            int64_t, const std::string&);
template CommandOption add_setting<uint64_t>(CommandLine&, const std::string&, uint64_t&, uint64_t,
                                             uint64_t, const std::string&);
template CommandOption add_setting<double>(CommandLine&, const std::string&, double&, double,
                                           double, const std::string&);

CommandOption add_setting(CommandLine& line, const std::string& flag, std::string& value,
                          const std::string& help) {
  return line.option(flag, value, help).shown_default(value).environment(line.variable_of(flag));
}

CommandOption add_setting(CommandLine& line, const std::string& flag,
                          std::vector<std::string>& values, const std::string& value_name,
                          const std::string& help) {
  return line.option(flag, values, help)
      .value_name(value_name)
      .one_value_each()
      .environment(line.variable_of(flag));
}

CommandOption add_setting(CommandLine& line, const std::string& flag, Endpoint& value,
                          const std::string& help) {
  auto read = [&value](const std::string& text) -> Result<> {
    TRY(value, parse_endpoint(text, value.port));
    return {};
  };
  return line.option(flag, std::move(read), help)
      .value_name("HOST:PORT")
      .shown_default(value.host.empty() ? "" : value.to_string())
      .environment(line.variable_of(flag));
}

CommandOption add_number(CommandLine& line, const std::string& flag, int64_t& value, int64_t min,
                         int64_t max, const std::string& help) {
  return add_read_number(line, flag, value, min, max, help);
}

CommandOption add_number(CommandLine& line, const std::string& flag, std::optional<int64_t>& value,
                         int64_t min, int64_t max, const std::string& help) {
  auto read = [&value, min, max](const std::string& text) -> Result<> {
    int64_t number = 0;
    TRY_DO(read_within(number, min, max, parse_number<int64_t>, [](int64_t n) { return n; })(text));
    value = number;
    return {};
  };
  return line.option(flag, std::move(read), help).value_name(fmt::format("INT {}..{}", min, max));
}

namespace {

constexpr std::pair<const char*, LogLevel> kLogLevels[] = {{"debug", LogLevel::Debug},
                                                           {"info", LogLevel::Info},
                                                           {"warning", LogLevel::Warning},
                                                           {"error", LogLevel::Error},
                                                           {"off", LogLevel::Off}};
constexpr std::pair<const char*, LogFormat> kLogFormats[] = {{"text", LogFormat::Text},
                                                             {"json", LogFormat::Json}};

template <class E, size_t N>
std::vector<std::pair<std::string, E>> choices_of(const std::pair<const char*, E> (&names)[N]) {
  return {std::begin(names), std::end(names)};
}

template <class E, size_t N>
std::string name_of(E value, const std::pair<const char*, E> (&names)[N]) {
  return std::ranges::find(names, value, &std::pair<const char*, E>::second)->first;
}

}  // namespace

void add_log_settings(CommandLine& line, LogSettings& settings) {
  line.choice("--log-level", settings.level, choices_of(kLogLevels),
              "How much to log, to standard error")
      .environment(common_variable_of("--log-level"));
  line.choice("--log-format", settings.format, choices_of(kLogFormats),
              "Lines for people, or JSON objects")
      .environment(common_variable_of("--log-format"));
}

std::vector<std::string> log_arguments(const LogSettings& settings) {
  return {"--log-level", name_of(settings.level, kLogLevels), "--log-format",
          name_of(settings.format, kLogFormats)};
}

}  // namespace mesclun
