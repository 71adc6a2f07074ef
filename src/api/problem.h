// The error body of the public API (api.md §2).
#pragma once

#include <string>

#include "base/result.h"

namespace mesclun::api {

inline constexpr std::string_view kProblemMediaType = "application/problem+json";

// Never an empty string in it, and always a `type`: published clients dereference it unseen.
std::string problem_json(std::string_view type, int status, std::string_view detail);
inline std::string problem_json(const Error& error, int status) {
  return problem_json(error.problem_type(), status, error.message);
}
inline std::string problem_json(const Error& error) {
  return problem_json(error, http_status(error.code));
}

// The Error that a problem body stands for; for anything else one made from the status.
Error error_from_problem(int status, std::string_view body);

}  // namespace mesclun::api
