// JSON to structs and back, from one description of the members. Reading collects every problem
// with its path.
//
// A struct is described with BOOST_DESCRIBE_STRUCT. Its members mean:
//   T                    required
//   std::optional<T>     absent or null is nothing; nothing is left out when writing
//   Nullable<T>          absent or null is nothing; nothing is written as null
//   Patch<T>             absent, null and a value are three things (merge patch); absent is left
//                        out when writing
//   std::vector, map     absent or null is empty; empty is written
//   json::value          anything but absent
// Ranges and patterns are the business of who reads: they add to the same JsonProblems.
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace mesclun {

namespace json = boost::json;

template <class T>
struct Nullable : std::optional<T> {
  using std::optional<T>::optional;
  using std::optional<T>::operator=;
  bool operator==(const Nullable& other) const {
    return static_cast<const std::optional<T>&>(*this) ==
           static_cast<const std::optional<T>&>(other);
  }
};

template <class T>
struct Patch {
  enum class State { Absent, Null, Value };
  State state = State::Absent;
  T value{};

  bool absent() const { return state == State::Absent; }
  bool is_null() const { return state == State::Null; }
  bool has_value() const { return state == State::Value; }
  // Any mention counts as a change.
  explicit operator bool() const { return !absent(); }
};

// Where in the document we are, as a chain on the stack: a path is only spelled out for a problem.
struct JsonPath {
  const JsonPath* parent = nullptr;
  std::string_view key = {};
  int64_t index = -1;

  // An RFC 6901 pointer: "/container/resources/cpu".
  std::string text() const;
};

struct JsonProblem {
  std::string path;
  std::string message;
};

class JsonProblems {
 public:
  // Unknown members are ignored unless told to refuse them.
  bool refuse_unknown_members = false;
  // Published clients of some services send {"Reason": ...}.
  bool ignore_member_case = false;

  void add(const JsonPath& path, std::string message);
  bool empty() const { return problems_.empty(); }
  const std::vector<JsonProblem>& all() const { return problems_; }
  // "/replicas must be between 0 and 500; /container/image is required" (the first ten).
  std::string summary() const;
  Error to_error() const { return Error::invalid(summary()); }

 private:
  std::vector<JsonProblem> problems_;
};

// The text form of an enumeration; specialise with `static constexpr std::pair<E, std::string_view>
// kNames[]`.
template <class E>
struct JsonEnum;

template <class E>
  requires std::is_enum_v<E>
std::string_view enum_name(E value) {
  for (const auto& [candidate, name] : JsonEnum<E>::kNames) {
    if (candidate == value) return name;
  }
  return "?";
}
template <class E>
  requires std::is_enum_v<E>
std::optional<E> enum_from_name(std::string_view text) {
  for (const auto& [candidate, name] : JsonEnum<E>::kNames) {
    if (name == text) return candidate;
  }
  return std::nullopt;
}

// Names that are not C++ names: overload for the struct's type, found by ADL.
template <class T>
constexpr std::string_view json_member_name(const T*, std::string_view member) {
  return member;
}

template <class T>
constexpr bool json_has_default(const T*, std::string_view) {
  return false;
}

// Malformed text, more than 32 levels or a lone surrogate: InvalidArgument with the byte offset.
Result<json::value> parse_json(std::string_view text);
// RFC 7396.
json::value merge_patch(json::value target, const json::value& patch);

namespace detail {

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
constexpr bool kIsNullable = false;
template <class T>
constexpr bool kIsNullable<Nullable<T>> = true;
template <class T>
constexpr bool kIsPatch = false;
template <class T>
constexpr bool kIsPatch<Patch<T>> = true;
template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
constexpr bool kIsMap = false;
template <class T>
constexpr bool kIsMap<std::map<std::string, T>> = true;
template <class T>
constexpr bool kMayBeAbsent =
    kIsOptional<T> || kIsNullable<T> || kIsPatch<T> || kIsVector<T> || kIsMap<T>;

bool read_integer(const json::value& value, const JsonPath& path, JsonProblems& problems,
                  int64_t min, uint64_t max, int64_t& out);
bool read_bool(const json::value& value, const JsonPath& path, JsonProblems& problems, bool& out);
bool read_double(const json::value& value, const JsonPath& path, JsonProblems& problems,
                 double& out);
bool read_string(const json::value& value, const JsonPath& path, JsonProblems& problems,
                 std::string& out);
const json::object* read_object(const json::value& value, const JsonPath& path,
                                JsonProblems& problems);
const json::array* read_array(const json::value& value, const JsonPath& path,
                              JsonProblems& problems);
const json::value* find_member(const json::object& object, std::string_view name,
                               const JsonProblems& problems);
void check_known(const json::object& object, std::span<const std::string_view> names,
                 const JsonPath& path, JsonProblems& problems);
void add_bad_enum(const json::value& value, std::span<const std::string_view> names,
                  const JsonPath& path, JsonProblems& problems);

}  // namespace detail

template <class T>
void read_json(const json::value& value, T& out, const JsonPath& path, JsonProblems& problems);

namespace detail {

template <class T>
void read_members(const json::value& value, T& out, const JsonPath& path, JsonProblems& problems) {
  const json::object* object = read_object(value, path, problems);
  if (object == nullptr) return;
  using Members = boost::describe::describe_members<T, boost::describe::mod_any_access>;
  std::vector<std::string_view> names;
  boost::mp11::mp_for_each<Members>([&](auto member) {
    const std::string_view name = json_member_name(static_cast<const T*>(nullptr), member.name);
    names.push_back(name);
    auto& field = out.*member.pointer;
    const JsonPath at{.parent = &path, .key = name};
    const bool has_default = json_has_default(static_cast<const T*>(nullptr), member.name);
    const json::value* found = find_member(*object, name, problems);
    if (has_default && (found == nullptr || found->is_null())) {
      // keeps its initialiser
    } else if (found != nullptr) {
      read_json(*found, field, at, problems);
    } else if constexpr (!kMayBeAbsent<std::remove_reference_t<decltype(field)>>) {
      problems.add(at, "is required");
    }
  });
  if (problems.refuse_unknown_members) check_known(*object, names, path, problems);
}

}  // namespace detail

template <class T>
void read_json(const json::value& value, T& out, const JsonPath& path, JsonProblems& problems) {
  if constexpr (detail::kIsOptional<T> || detail::kIsNullable<T>) {
    if (value.is_null()) {
      out.reset();
      return;
    }
    out.emplace();
    read_json(value, *out, path, problems);
  } else if constexpr (detail::kIsPatch<T>) {
    out.state = value.is_null() ? T::State::Null : T::State::Value;
    if (!value.is_null()) read_json(value, out.value, path, problems);
  } else if constexpr (detail::kIsVector<T>) {
    out.clear();
    if (value.is_null()) return;
    const json::array* array = detail::read_array(value, path, problems);
    if (array == nullptr) return;
    for (size_t i = 0; i < array->size(); ++i) {
      const JsonPath at{.parent = &path, .index = static_cast<int64_t>(i)};
      read_json((*array)[i], out.emplace_back(), at, problems);
    }
  } else if constexpr (detail::kIsMap<T>) {
    out.clear();
    if (value.is_null()) return;
    const json::object* object = detail::read_object(value, path, problems);
    if (object == nullptr) return;
    for (const auto& member : *object) {
      const std::string_view key(member.key().data(), member.key().size());
      const JsonPath at{.parent = &path, .key = key};
      read_json(member.value(), out[std::string(key)], at, problems);
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    detail::read_bool(value, path, problems, out);
  } else if constexpr (std::is_same_v<T, json::value>) {
    out = value;
  } else if constexpr (std::is_same_v<T, json::object>) {
    if (const json::object* object = detail::read_object(value, path, problems)) out = *object;
  } else if constexpr (std::is_integral_v<T>) {
    int64_t number = 0;
    if (detail::read_integer(value, path, problems, std::numeric_limits<T>::min(),
                             std::numeric_limits<T>::max(), number)) {
      out = static_cast<T>(number);
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    double number = 0;
    if (detail::read_double(value, path, problems, number)) out = static_cast<T>(number);
  } else if constexpr (std::is_same_v<T, std::string>) {
    detail::read_string(value, path, problems, out);
  } else if constexpr (std::is_enum_v<T>) {
    const auto found = value.is_string() ? enum_from_name<T>(std::string_view(value.get_string()))
                                         : std::optional<T>();
    if (found) {
      out = *found;
    } else {
      std::vector<std::string_view> names;
      for (const auto& [candidate, name] : JsonEnum<T>::kNames) names.push_back(name);
      detail::add_bad_enum(value, names, path, problems);
    }
  } else {
    detail::read_members(value, out, path, problems);
  }
}

template <class T>
json::value write_json(const T& in) {
  if constexpr (detail::kIsOptional<T> || detail::kIsNullable<T>) {
    return in ? write_json(*in) : json::value(nullptr);
  } else if constexpr (detail::kIsPatch<T>) {
    return in.has_value() ? write_json(in.value) : json::value(nullptr);
  } else if constexpr (detail::kIsVector<T>) {
    json::array array;
    array.reserve(in.size());
    for (const auto& item : in) array.push_back(write_json(item));
    return array;
  } else if constexpr (detail::kIsMap<T>) {
    json::object object;
    for (const auto& [key, item] : in) object.emplace(key, write_json(item));
    return object;
  } else if constexpr (std::is_same_v<T, json::value>) {
    return in;
  } else if constexpr (std::is_same_v<T, json::object>) {
    return json::value(in);
  } else if constexpr (std::is_enum_v<T>) {
    return json::string(enum_name(in));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return json::value(in);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return json::string(in);
  } else {
    json::object object;
    using Members = boost::describe::describe_members<T, boost::describe::mod_any_access>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
      const auto& field = in.*member.pointer;
      using Field = std::remove_cvref_t<decltype(field)>;
      if constexpr (detail::kIsOptional<Field>) {
        if (!field) return;
      }
      if constexpr (detail::kIsPatch<Field>) {
        if (field.absent()) return;
      }
      object.emplace(json_member_name(static_cast<const T*>(nullptr), member.name),
                     write_json(field));
    });
    return object;
  }
}

template <class T>
std::string to_json_text(const T& in) {
  return json::serialize(write_json(in));
}

// Reads a whole document of our own making, such as a stored row or a message between our
// processes.
template <class T>
Result<T> from_json_text(std::string_view text) {
  TRY(const json::value value, parse_json(text));
  T out{};
  JsonProblems problems;
  read_json(value, out, JsonPath{}, problems);
  if (!problems.empty()) return problems.to_error();
  return out;
}

}  // namespace mesclun
