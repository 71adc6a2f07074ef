// Members of the engine's answers, which say more than we need and leave out what is not so.
#pragma once

#include "base/json.h"

namespace mesclun::runtime {

// Null: there is no such member, or `answer` is no object.
inline const json::value* member_of(const json::value& answer, std::string_view name) {
  return answer.is_object() ? answer.get_object().if_contains(name) : nullptr;
}
// Of another type or absent: "", 0, false.
inline std::string text_of(const json::value& answer, std::string_view name) {
  const json::value* value = member_of(answer, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}
inline int64_t number_of(const json::value& answer, std::string_view name) {
  const json::value* value = member_of(answer, name);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}
inline bool flag_of(const json::value& answer, std::string_view name) {
  const json::value* value = member_of(answer, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace mesclun::runtime
