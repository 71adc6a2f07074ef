#include "cloud/log_clause.h"

#include <charconv>
#include <compare>
#include <span>

#include "base/clock.h"
#include "base/integer.h"
#include "base/text.h"

namespace mesclun::cloud {

namespace {

std::partial_ordering compare(const LogNumber& a, const LogNumber& b) {
  if (a.integer && b.integer) return *a.integer <=> *b.integer;
  return a.real <=> b.real;
}

bool order_holds(LogOperator op, std::partial_ordering order) {
  switch (op) {
    case LogOperator::Greater:
      return order > 0;
    case LogOperator::Less:
      return order < 0;
    case LogOperator::GreaterEqual:
      return order >= 0;
    case LogOperator::LessEqual:
      return order <= 0;
    default:
      return order == 0;
  }
}

bool is_order(LogOperator op) {
  return op == LogOperator::Greater || op == LogOperator::Less || op == LogOperator::GreaterEqual ||
         op == LogOperator::LessEqual;
}

// Text against text; `text` in the case that the clause has.
bool text_holds(LogOperator op, std::string_view text, std::string_view wanted) {
  switch (op) {
    case LogOperator::Equal:
      return text == wanted;
    case LogOperator::Contains:
      return text.find(wanted) != std::string_view::npos;
    case LogOperator::StartsWith:
      return text.starts_with(wanted);
    case LogOperator::EndsWith:
      return text.ends_with(wanted);
    default:
      return false;
  }
}

bool holds(const LogClause& clause, std::string_view text) {
  if (is_order(clause.op)) {
    if (clause.number) {
      const auto number = parse_log_number(text);
      return number && order_holds(clause.op, compare(*number, *clause.number));
    }
    if (!clause.time) return false;
    const auto time = parse_rfc3339(text);
    return time && order_holds(clause.op, to_unix_nanos(*time) <=> *clause.time);
  }
  if (!clause.ignore_case) return text_holds(clause.op, text, clause.text);
  return text_holds(clause.op, lower_case(text), clause.text);
}

bool holds(const LogClause& clause, const LogNumber& number, std::string_view text) {
  const bool by_number = is_order(clause.op) || clause.op == LogOperator::Equal;
  if (!by_number) return holds(clause, text);
  return clause.number && order_holds(clause.op, compare(number, *clause.number));
}

bool holds_of_time(const LogClause& clause, int64_t time) {
  const bool by_time = is_order(clause.op) || clause.op == LogOperator::Equal;
  if (!by_time) return holds(clause, format_rfc3339(from_unix_nanos(time)));
  return clause.time && order_holds(clause.op, time <=> *clause.time);
}

bool holds_of_severity(const LogClause& clause, Severity severity) {
  const bool by_order = is_order(clause.op) || clause.op == LogOperator::Equal;
  if (!by_order) return holds(clause, enum_name(severity));
  return order_holds(clause.op, severity <=> clause.severity);
}

LogNumber number_of(const json::value& value) {
  if (const int64_t* integer = value.if_int64()) {
    return {.integer = *integer, .real = static_cast<double>(*integer)};
  }
  if (const uint64_t* large = value.if_uint64()) return {.real = static_cast<double>(*large)};
  return {.real = value.get_double()};
}

bool holds(const LogClause& clause, const json::value& value) {
  if (const json::string* text = value.if_string()) return holds(clause, std::string_view(*text));
  if (value.is_number()) return holds(clause, number_of(value), json::serialize(value));
  const bool whole = value.is_object() || value.is_array();
  if (whole && (is_order(clause.op) || clause.op == LogOperator::Equal)) return false;
  return holds(clause, json::serialize(value));
}

// Keys may have dots themselves: {"http.status": 200} and {"http": {"status": 200}} are both found
// by json_log.http.status. Each value is met once at most, so the entry's size is the bound.
const json::value* find_path(const json::value& value, std::span<const std::string> path) {
  if (path.empty()) return &value;
  if (const json::array* items = value.if_array()) {
    const auto index = parse_integer<size_t>(path[0]);
    if (!index || *index >= items->size()) return nullptr;
    return find_path((*items)[*index], path.subspan(1));
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return nullptr;
  std::string key;
  for (size_t used = 0; used < path.size(); ++used) {
    if (used > 0) key += '.';
    key += path[used];
    const json::value* member = object->if_contains(key);
    if (member == nullptr) continue;
    if (const json::value* found = find_path(*member, path.subspan(used + 1))) return found;
  }
  return nullptr;
}

const json::value* find_member(const json::object& object, std::span<const std::string> path) {
  std::string key;
  for (size_t used = 0; used < path.size(); ++used) {
    if (used > 0) key += '.';
    key += path[used];
    const json::value* member = object.if_contains(key);
    if (member == nullptr) continue;
    if (const json::value* found = find_path(*member, path.subspan(used + 1))) return found;
  }
  return nullptr;
}

// In keys and values, as they were before JSON escaped them.
bool somewhere(const LogClause& clause, const json::value& value) {
  if (const json::object* object = value.if_object()) {
    for (const auto& [name, member] : *object) {
      if (holds(clause, std::string_view(name)) || somewhere(clause, member)) return true;
    }
    return false;
  }
  if (const json::array* items = value.if_array()) {
    for (const json::value& item : *items) {
      if (somewhere(clause, item)) return true;
    }
    return false;
  }
  return holds(clause, value);
}

bool holds_of_log(const LogClause& clause, const LogEntry& entry) {
  if (!entry.json_log) return holds(clause, entry.text_log);
  for (const auto& [name, member] : *entry.json_log) {
    if (holds(clause, std::string_view(name)) || somewhere(clause, member)) return true;
  }
  // Also as it was written: "level":"info".
  if (clause.text.find_first_of("{}[]\":,") == std::string::npos) return false;
  return holds(clause, json::serialize(*entry.json_log));
}

bool holds_if_any(const LogClause& clause, const std::string& text) {
  return !text.empty() && holds(clause, text);
}

bool holds(const LogClause& clause, const LogEntry& entry) {
  switch (clause.field) {
    case LogField::Time:
      return holds_of_time(clause, entry.time);
    case LogField::ReceiveTime:
      return holds_of_time(clause, entry.receive_time);
    case LogField::Severity:
      return holds_of_severity(clause, entry.severity);
    case LogField::SeverityNumber:
      return holds(
          clause,
          {.integer = entry.severity_number, .real = static_cast<double>(entry.severity_number)},
          std::to_string(entry.severity_number));
    case LogField::TraceId:
      return holds_if_any(clause, entry.trace_id);
    case LogField::SpanId:
      return holds_if_any(clause, entry.span_id);
    case LogField::ParentSpanId:
      return holds_if_any(clause, entry.parent_span_id);
    case LogField::TextLog:
      return !entry.json_log && holds(clause, entry.text_log);
    case LogField::ResourceType:
      return holds(clause, entry.resource_type);
    case LogField::Label: {
      const auto found = entry.labels.find(clause.label);
      return found != entry.labels.end() && holds(clause, found->second);
    }
    case LogField::JsonLog: {
      if (!entry.json_log) return false;
      const json::value* found = find_member(*entry.json_log, clause.path);
      return found != nullptr && holds(clause, *found);
    }
    case LogField::Log:
      return holds_of_log(clause, entry);
  }
  return false;
}

}  // namespace

std::optional<LogNumber> parse_log_number(std::string_view text) {
  if (const auto integer = parse_integer<int64_t>(text)) {
    return LogNumber{.integer = *integer, .real = static_cast<double>(*integer)};
  }
  LogNumber number;
  const char* end = text.data() + text.size();
  const auto real = std::from_chars(text.data(), end, number.real);
  // "inf" and "nan" are words.
  const bool digits = text.find_first_of("0123456789") != std::string_view::npos;
  if (real.ec != std::errc() || real.ptr != end || !digits) return std::nullopt;
  return number;
}

bool LogClause::matches(const LogEntry& entry) const {
  return holds(*this, entry) != negated;
}

}  // namespace mesclun::cloud
