// Structured log lines: an area, a sentence, and named values. Text for people, JSON lines for
// machines.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace mesclun {

enum class LogLevel { Debug, Info, Warning, Error, Off };
enum class LogFormat { Text, Json };

struct LogSettings {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Text;
};

// One named value of a line. Numbers stay numbers in JSON.
struct LogField {
  std::string_view name;
  std::string value;
  bool quoted = true;

  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const std::string& v) : name(n), value(v) {}
  LogField(std::string_view n, const char* v) : name(n), value(v) {}
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  LogField(std::string_view n, T v) : name(n), value(fmt::format("{}", v)), quoted(false) {}
};
using LogFields = std::initializer_list<LogField>;

// Before the first line, from the main thread. Lines go to standard error.
void setup_logging(LogSettings settings);
LogLevel log_level();
void write_log(LogLevel level, std::string_view area, std::string_view text, LogFields fields);

// The line without time: `level area: text name=value`, or a JSON object.
std::string format_log(LogFormat format, LogLevel level, std::string_view area,
                       std::string_view text, LogFields fields);

inline void log_debug(std::string_view area, std::string_view text, LogFields fields = {}) {
  if (log_level() <= LogLevel::Debug) write_log(LogLevel::Debug, area, text, fields);
}
inline void log_info(std::string_view area, std::string_view text, LogFields fields = {}) {
  if (log_level() <= LogLevel::Info) write_log(LogLevel::Info, area, text, fields);
}
inline void log_warning(std::string_view area, std::string_view text, LogFields fields = {}) {
  if (log_level() <= LogLevel::Warning) write_log(LogLevel::Warning, area, text, fields);
}
inline void log_error(std::string_view area, std::string_view text, LogFields fields = {}) {
  if (log_level() <= LogLevel::Error) write_log(LogLevel::Error, area, text, fields);
}

}  // namespace mesclun
