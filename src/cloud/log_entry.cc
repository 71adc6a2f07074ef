#include "cloud/log_entry.h"

#include "base/clock.h"
#include "base/text.h"

namespace mesclun::cloud {

namespace {

constexpr int64_t kSeverityStep = 100;
constexpr size_t kIdCharactersMax = 1000;  // api.md §11.1

std::string_view cut_to_characters(std::string_view text, size_t characters_max) {
  if (text.size() <= characters_max) return text;
  size_t at = 0;
  for (size_t characters = 0; at < text.size();) {
    const CodePoint point = first_code_point(text.substr(at));
    characters += point.value > 0xFFFF ? 2 : 1;
    if (characters > characters_max) break;
    at += std::max<size_t>(point.bytes, 1);
  }
  return text.substr(0, at);
}

const json::string* string_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_string();
}

void take_id(json::object& object, std::string_view name, std::string& out) {
  const json::string* text = string_member(object, name);
  if (text == nullptr || text->empty() || text->size() > kIdCharactersMax) return;
  out = *text;
  object.erase(name);
}

void take_severity(json::object& object, LogEntry& entry) {
  if (const json::string* name = string_member(object, "severity")) {
    if (const auto known = enum_from_name<Severity>(lower_case(*name))) {
      entry.severity = *known;
      object.erase("severity");
    }
  }
  entry.severity_number = static_cast<int64_t>(entry.severity) * kSeverityStep;
  const json::value* number = object.if_contains("severity_number");
  if (number == nullptr || !number->is_int64()) return;
  entry.severity_number = number->get_int64();
  object.erase("severity_number");
}

}  // namespace

void set_log(LogEntry& entry, std::string_view line) {
  // Most lines are no JSON; the parser's error would cost more than this look.
  if (trim_line(line).starts_with('{')) {
    Result<json::value> value = parse_json(line);
    if (value && value->is_object()) {
      json::object& object = entry.json_log.emplace(std::move(value->get_object()));
      take_severity(object, entry);
      take_id(object, "trace_id", entry.trace_id);
      take_id(object, "span_id", entry.span_id);
      take_id(object, "parent_span_id", entry.parent_span_id);
      return;
    }
  }
  entry.text_log = cut_to_characters(line, kTextLogCharactersMax);
}

json::object entry_json(const LogEntry& entry) {
  json::object labels;
  for (const auto& [name, value] : entry.labels) labels[name] = value;
  json::object out;
  out["time"] = format_rfc3339(from_unix_nanos(entry.time));
  out["receive_time"] = format_rfc3339(from_unix_nanos(entry.receive_time));
  out["resource"] = json::object{{"type", entry.resource_type}, {"labels", std::move(labels)}};
  out["severity"] = enum_name(entry.severity);
  out["severity_number"] = entry.severity_number;
  if (entry.json_log) {
    out["json_log"] = *entry.json_log;
  } else {
    out["text_log"] = entry.text_log;
  }
  for (const char* name : {"trace_id", "trace_Id"}) {
    if (!entry.trace_id.empty()) out[name] = entry.trace_id;
  }
  for (const char* name : {"span_id", "span_Id"}) {
    if (!entry.span_id.empty()) out[name] = entry.span_id;
  }
  if (!entry.parent_span_id.empty()) out["parent_span_id"] = entry.parent_span_id;
  return out;
}

}  // namespace mesclun::cloud
