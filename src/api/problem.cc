#include "api/problem.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"

namespace mesclun::api {

namespace {

ErrorCode code_of_status(int status) {
  switch (status) {
    case 400:
      return ErrorCode::InvalidArgument;
    case 401:
      return ErrorCode::Unauthenticated;
    case 403:
      return ErrorCode::PermissionDenied;
    case 404:
      return ErrorCode::NotFound;
    case 408:
      return ErrorCode::DeadlineExceeded;
    case 413:
      return ErrorCode::OutOfRange;
    case 429:
      return ErrorCode::ResourceExhausted;
    case 501:
      return ErrorCode::Unimplemented;
    case 503:
      return ErrorCode::Unavailable;
    case 504:
      return ErrorCode::DeadlineExceeded;
    default:
      return ErrorCode::Internal;
  }
}

}  // namespace

std::string problem_json(std::string_view type, int status, std::string_view detail) {
  json::object problem;
  problem["type"] = json::string(type);
  problem["title"] = json::string(http_reason(status));
  problem["status"] = status;
  if (!detail.empty()) {
    // One line of at most 2,000 characters (api.md §12, fact 11).
    std::string line(detail.substr(0, 2000));
    for (char& c : line) {
      if (c == '\n' || c == '\r') c = ' ';
    }
    problem["detail"] = line;
  }
  return json::serialize(problem);
}

Error error_from_problem(int status, std::string_view body) {
  Error error{.code = code_of_status(status), .message = fmt::format("status {}", status)};
  const auto value = parse_json(body);
  if (!value || !value->is_object()) {
    if (!body.empty()) error.message += ": " + std::string(body.substr(0, 200));
    return error;
  }
  const json::object& problem = value->get_object();
  if (const auto* type = problem.if_contains("type"); type != nullptr && type->is_string()) {
    error.cause = cause_of(type->get_string());
  }
  for (const char* member : {"detail", "title"}) {
    if (const auto* text = problem.if_contains(member); text != nullptr && text->is_string()) {
      error.message = std::string(text->get_string());
      break;
    }
  }
  return error;
}

}  // namespace mesclun::api
