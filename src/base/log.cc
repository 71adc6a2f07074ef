#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/json.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

namespace mesclun {

namespace {

std::atomic<LogLevel> g_level = LogLevel::Info;
std::atomic<LogFormat> g_format = LogFormat::Text;

spdlog::logger& logger() {
  static const auto instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    return std::make_shared<spdlog::logger>("mesclun", sink);
  }();
  return *instance;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warning:
      return "warning";
    case LogLevel::Error:
      return "error";
    case LogLevel::Off:
      break;
  }
  return "off";
}

std::string quote(std::string_view text) {
  return boost::json::serialize(boost::json::string(text));
}

bool is_plain(std::string_view text) {
  return !text.empty() && text.find_first_of(" \"=\\\t\r\n") == std::string_view::npos;
}

}  // namespace

void setup_logging(LogSettings settings) {
  g_level = settings.level;
  g_format = settings.format;
  // spdlog stamps the time itself; ours is a library user there, not a reader of clocks.
  logger().sinks().front()->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      settings.format == LogFormat::Json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v"
                                         : "%Y-%m-%dT%H:%M:%S.%eZ %v",
      spdlog::pattern_time_type::utc));
}

LogLevel log_level() {
  return g_level.load(std::memory_order_relaxed);
}

std::string format_log(LogFormat format, LogLevel level, std::string_view area,
                       std::string_view text, LogFields fields) {
  if (format == LogFormat::Json) {
    std::string line = fmt::format("\"level\":\"{}\",\"area\":{},\"message\":{}", level_name(level),
                                   quote(area), quote(text));
    for (const LogField& field : fields) {
      line +=
          fmt::format(",{}:{}", quote(field.name), field.quoted ? quote(field.value) : field.value);
    }
    return line + "}";
  }
  std::string line = fmt::format("{:7} {}: {}", level_name(level), area, text);
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.name,
                        !field.quoted || is_plain(field.value) ? field.value : quote(field.value));
  }
  return line;
}

void write_log(LogLevel level, std::string_view area, std::string_view text, LogFields fields) {
  const LogFormat format = g_format.load(std::memory_order_relaxed);
  logger().log(spdlog::level::critical,
               spdlog::string_view_t(format_log(format, level, area, text, fields)));
}

}  // namespace mesclun
