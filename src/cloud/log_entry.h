// One entry of the log as the contract has it (api.md §11.1): a line of a container or a system
// event, with what is known of it.
#pragma once

#include <map>
#include <optional>

#include "base/json.h"

namespace mesclun::cloud {

// In their order.
enum class Severity { Default, Debug, Info, Notice, Warning, Error, Critical, Alert, Emergency };

// Of one line or event. Times are unix nanoseconds.
struct LogEntry {
  int64_t time = 0;
  int64_t receive_time = 0;
  std::string resource_type;  // container, instance_controller or deployment_controller
  std::map<std::string, std::string> labels;
  Severity severity = Severity::Default;
  int64_t severity_number = 0;  // by default 100 a step of severity
  // Empty: none.
  std::string trace_id;
  std::string span_id;
  std::string parent_span_id;
  // One of the two.
  std::string text_log;
  std::optional<json::object> json_log;
};

// What a LogEntry has of a text: at most so many characters, as UTF-16 counts them, which is how the
// published JavaScript client does.
inline constexpr size_t kTextLogCharactersMax = 10'000;

// A line that is a JSON object becomes `json_log`, and what has a place of its own in an entry is
// taken out of it: severity (of any case), severity_number, trace_id, span_id, parent_span_id. A
// member that cannot be such a thing stays. Any other line becomes `text_log`.
void set_log(LogEntry& entry, std::string_view line);

// As the contract's LogEntry, and under both spellings what it spells in two ways.
json::object entry_json(const LogEntry& entry);

}  // namespace mesclun::cloud

template <>
struct mesclun::JsonEnum<mesclun::cloud::Severity> {
  using enum mesclun::cloud::Severity;
  static constexpr std::pair<mesclun::cloud::Severity, std::string_view> kNames[] = {
      {Default, "default"},   {Debug, "debug"},     {Info, "info"},
      {Notice, "notice"},     {Warning, "warning"}, {Error, "error"},
      {Critical, "critical"}, {Alert, "alert"},     {Emergency, "emergency"}};
};
