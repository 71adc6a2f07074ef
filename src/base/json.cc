#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace mesclun {

std::string JsonPath::text() const {
  if (parent == nullptr) return index < 0 && key.empty() ? "" : "/" + std::string(key);
  if (index >= 0) return parent->text() + "/" + std::to_string(index);
  std::string escaped;
  for (char c : key) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return parent->text() + "/" + escaped;
}

void JsonProblems::add(const JsonPath& path, std::string message) {
  // A document of a million wrong items needs no million sentences.
  if (problems_.size() >= 100) return;
  problems_.push_back({path.text(), std::move(message)});
}

std::string JsonProblems::summary() const {
  std::string text;
  size_t named = 0;
  for (const JsonProblem& problem : problems_) {
    if (named == 10) {
      text += fmt::format("; and {} more", problems_.size() - named);
      break;
    }
    if (named++ > 0) text += "; ";
    text += problem.path.empty() ? "the document " + problem.message
                                 : problem.path + " " + problem.message;
  }
  return text;
}

namespace {

// At most 32 levels, like the parser.
bool all_finite(const json::value& value) {
  if (value.is_double()) return std::isfinite(value.get_double());
  if (value.is_array()) return std::ranges::all_of(value.get_array(), all_finite);
  if (value.is_object()) {
    return std::ranges::all_of(value.get_object(),
                               [](const auto& member) { return all_finite(member.value()); });
  }
  return true;
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = 32;
  json::stream_parser parser({}, options);
  boost::system::error_code error;
  const size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size()) error = json::error::extra_data;
  if (!error) parser.finish(error);
  if (error) {
    return Error::invalid(fmt::format("malformed JSON at byte {}: {}", used, error.message()));
  }
  json::value value = parser.release();
  // 1e999 reads as infinity, and is written as a word that is no JSON.
  if (!all_finite(value)) {
    return Error::invalid("malformed JSON: a number is beyond what a double holds");
  }
  return value;
}

json::value merge_patch(json::value target, const json::value& patch) {
  if (!patch.is_object()) return patch;
  if (!target.is_object()) target = json::object();
  json::object& object = target.get_object();
  for (const auto& member : patch.get_object()) {
    if (member.value().is_null()) {
      object.erase(member.key());
    } else {
      json::value& slot = object[member.key()];
      slot = merge_patch(std::move(slot), member.value());
    }
  }
  return target;
}

namespace detail {

namespace {

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "?";
}

void add_wrong_kind(const json::value& value, std::string_view wanted, const JsonPath& path,
                    JsonProblems& problems) {
  problems.add(path, fmt::format("must be {}, not {}", wanted, kind_name(value)));
}

}  // namespace

bool read_integer(const json::value& value, const JsonPath& path, JsonProblems& problems,
                  int64_t min, uint64_t max, int64_t& out) {
  if (value.is_double()) {
    problems.add(path, "must be an integer");
    return false;
  }
  if (!value.is_number()) {
    add_wrong_kind(value, "an integer", path, problems);
    return false;
  }
  const bool fits = value.is_uint64() ? value.get_uint64() <= max
                                      : value.get_int64() >= min &&
                                            (value.get_int64() < 0 ||
                                             static_cast<uint64_t>(value.get_int64()) <= max);
  if (!fits) {
    problems.add(path, fmt::format("must be between {} and {}", min, max));
    return false;
  }
  out = value.is_uint64() ? static_cast<int64_t>(value.get_uint64()) : value.get_int64();
  return true;
}

bool read_bool(const json::value& value, const JsonPath& path, JsonProblems& problems, bool& out) {
  if (!value.is_bool()) {
    add_wrong_kind(value, "true or false", path, problems);
    return false;
  }
  out = value.get_bool();
  return true;
}

bool read_double(const json::value& value, const JsonPath& path, JsonProblems& problems,
                 double& out) {
  if (!value.is_number()) {
    add_wrong_kind(value, "a number", path, problems);
    return false;
  }
  out = value.to_number<double>();
  return true;
}

bool read_string(const json::value& value, const JsonPath& path, JsonProblems& problems,
                 std::string& out) {
  if (!value.is_string()) {
    add_wrong_kind(value, "a string", path, problems);
    return false;
  }
  out.assign(value.get_string().data(), value.get_string().size());
  return true;
}

const json::object* read_object(const json::value& value, const JsonPath& path,
                                JsonProblems& problems) {
  if (value.is_object()) return &value.get_object();
  add_wrong_kind(value, "an object", path, problems);
  return nullptr;
}

const json::array* read_array(const json::value& value, const JsonPath& path,
                              JsonProblems& problems) {
  if (value.is_array()) return &value.get_array();
  add_wrong_kind(value, "an array", path, problems);
  return nullptr;
}

const json::value* find_member(const json::object& object, std::string_view name,
                               const JsonProblems& problems) {
  if (const json::value* found = object.if_contains(name)) return found;
  if (!problems.ignore_member_case) return nullptr;
  for (const auto& member : object) {
    if (iequals({member.key().data(), member.key().size()}, name)) return &member.value();
  }
  return nullptr;
}

void check_known(const json::object& object, std::span<const std::string_view> names,
                 const JsonPath& path, JsonProblems& problems) {
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    const bool known = std::ranges::any_of(names, [&](std::string_view name) {
      return name == key || (problems.ignore_member_case && iequals(name, key));
    });
    if (known) continue;
    const JsonPath at{.parent = &path, .key = key};
    problems.add(at, "is not a known member");
  }
}

void add_bad_enum(const json::value& value, std::span<const std::string_view> names,
                  const JsonPath& path, JsonProblems& problems) {
  std::string list;
  for (std::string_view name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  if (!value.is_string()) {
    add_wrong_kind(value, "one of " + list, path, problems);
    return;
  }
  const std::string_view text(value.get_string());
  problems.add(path, fmt::format("must be one of {}, not '{}'", list, text.substr(0, 64)));
}

}  // namespace detail

}  // namespace mesclun
