// One comparison of the log's query language (api.md §11.2): what it looks at, and whether it holds.
#pragma once

#include <optional>
#include <vector>

#include "cloud/log_entry.h"

namespace mesclun::cloud {

enum class LogField {
  Time,
  ReceiveTime,
  Severity,
  SeverityNumber,
  TraceId,
  SpanId,
  ParentSpanId,
  TextLog,
  ResourceType,
  Label,    // resource.labels.<name>
  JsonLog,  // json_log.<path>
  Log,      // text and JSON alike
};

enum class LogOperator {
  Equal,
  Greater,
  Less,
  GreaterEqual,
  LessEqual,
  Contains,
  StartsWith,
  EndsWith
};

struct LogNumber {
  std::optional<int64_t> integer;  // exact, if it is one
  double real = 0;
};
std::optional<LogNumber> parse_log_number(std::string_view text);

// A missing field holds no comparison, and so each negated one; so does a value of another kind than
// an order compares.
struct LogClause {
  LogField field = LogField::Log;
  std::string label;              // Label
  std::vector<std::string> path;  // JsonLog
  LogOperator op = LogOperator::Equal;
  bool negated = false;
  bool ignore_case = false;
  // The value, in every form that it has.
  std::string text;  // in lower case where that is ignored
  std::optional<LogNumber> number;
  std::optional<int64_t> time;            // unix ns
  Severity severity = Severity::Default;  // of a clause about severity

  bool matches(const LogEntry& entry) const;
};

}  // namespace mesclun::cloud
