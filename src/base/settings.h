// Every number a user may change is a setting: a name, a default, a unit, a range, shown by --help,
// and an environment variable MESCLUN_<NAME>. CLI11's header is heavy: only the sources of commands
// include this.
#pragma once

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/socket_conn.h"
#include "base/units.h"

namespace mesclun {

// "--node-grace" to "MESCLUN_NODE_GRACE".
inline std::string setting_environment_name(std::string_view flag) {
  std::string name = "MESCLUN_";
  for (char c : flag.substr(flag.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// CLI11 prints "--name TYPE [default] (Env:NAME)  help". A bad value is a usage error that repeats
// the range.
inline CLI::Option* add_setting(CLI::App& app, const std::string& flag, Duration& value,
                                Duration min, Duration max, const std::string& help) {
  auto set = [&value, min, max](const std::string& text) {
    Result<Duration> parsed = parse_duration(text);
    if (!parsed) throw CLI::ValidationError(parsed.error().message);
    if (*parsed < min || *parsed > max) {
      throw CLI::ValidationError(fmt::format("{} is not between {} and {}", text,
                                             format_duration(min), format_duration(max)));
    }
    value = *parsed;
  };
  return app.add_option_function<std::string>(flag, set, help)
      ->type_name(fmt::format("DURATION {}..{}", format_duration(min), format_duration(max)))
      ->default_str(format_duration(value))
      ->envname(setting_environment_name(flag));
}

inline CLI::Option* add_bytes_setting(CLI::App& app, const std::string& flag, size_t& value,
                                      uint64_t min, uint64_t max, const std::string& help) {
  auto set = [&value, min, max](const std::string& text) {
    Result<uint64_t> parsed = parse_bytes(text);
    if (!parsed) throw CLI::ValidationError(parsed.error().message);
    if (*parsed < min || *parsed > max) {
      throw CLI::ValidationError(
          fmt::format("{} is not between {} and {}", text, format_bytes(min), format_bytes(max)));
    }
    value = *parsed;
  };
  return app.add_option_function<std::string>(flag, set, help)
      ->type_name(fmt::format("BYTES {}..{}", format_bytes(min), format_bytes(max)))
      ->default_str(format_bytes(value))
      ->envname(setting_environment_name(flag));
}

template <class T>
  requires std::is_arithmetic_v<T>
CLI::Option* add_setting(CLI::App& app, const std::string& flag, T& value, T min, T max,
                         const std::string& help) {
  return app
      .add_option(flag, value, help)
      // The type below says the range already.
      ->check(CLI::Range(min, max).description(""))
      ->type_name(fmt::format("{} {}..{}", std::is_integral_v<T> ? "INT" : "NUMBER", min, max))
      ->capture_default_str()
      ->envname(setting_environment_name(flag));
}

inline CLI::Option* add_setting(CLI::App& app, const std::string& flag, std::string& value,
                                const std::string& help) {
  return app.add_option(flag, value, help)
      ->capture_default_str()
      ->envname(setting_environment_name(flag));
}

// HOST:PORT.
inline CLI::Option* add_setting(CLI::App& app, const std::string& flag, Endpoint& value,
                                const std::string& help) {
  auto set = [&value](const std::string& text) {
    Result<Endpoint> parsed = parse_endpoint(text, value.port);
    if (!parsed) throw CLI::ValidationError(parsed.error().message);
    value = *parsed;
  };
  return app.add_option_function<std::string>(flag, set, help)
      ->type_name("HOST:PORT")
      ->default_str(value.host.empty() ? "" : value.to_string())
      ->envname(setting_environment_name(flag));
}

inline void add_log_settings(CLI::App& app, LogSettings& settings) {
  const std::map<std::string, LogLevel> levels{{"debug", LogLevel::Debug},
                                               {"info", LogLevel::Info},
                                               {"warning", LogLevel::Warning},
                                               {"error", LogLevel::Error},
                                               {"off", LogLevel::Off}};
  const std::map<std::string, LogFormat> formats{{"text", LogFormat::Text},
                                                 {"json", LogFormat::Json}};
  app.add_option("--log-level", settings.level, "How much to log, to standard error")
      ->transform(CLI::CheckedTransformer(levels).description(""))
      ->type_name("debug|info|warning|error|off")
      ->default_str("info")
      ->envname("MESCLUN_LOG_LEVEL");
  app.add_option("--log-format", settings.format, "Lines for people, or JSON objects")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("text|json")
      ->default_str("text")
      ->envname("MESCLUN_LOG_FORMAT");
}

// Parses, and returns the exit status when the program should end now: 0 after --help, 2 for wrong
// usage.
inline std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace mesclun
