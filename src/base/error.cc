#include "base/error.h"

#include <boost/beast/http/status.hpp>
#include <cstdlib>

namespace mesclun {

namespace {

struct CauseRow {
  Cause cause;
  std::string_view problem_type;
};
constexpr CauseRow kCauses[] = {
    {Cause::NameConflict, "name_conflict"},
    {Cause::QuotaExceeded, "quota_exceeded"},
    {Cause::Refused, "refused"},
    {Cause::Unreachable, "unreachable"},
    {Cause::RefusedEarly, "refused_early"},
    {Cause::Stopped, "stopped"},
    {Cause::Usage, "usage"},
};

// Statuses as the public contract names them: it has no 409, a taken name answers 400.
constexpr ErrorCodeRow kRows[] = {
    {ErrorCode::Cancelled, "cancelled", 499, 1, "cancelled"},
    {ErrorCode::InvalidArgument, "invalid_argument", 400, 3, "invalid_request"},
    {ErrorCode::DeadlineExceeded, "deadline_exceeded", 504, 4, "timeout"},
    {ErrorCode::NotFound, "not_found", 404, 5, "not_found"},
    {ErrorCode::AlreadyExists, "already_exists", 400, 6, "name_conflict"},
    {ErrorCode::PermissionDenied, "permission_denied", 403, 7, "forbidden"},
    {ErrorCode::Unauthenticated, "unauthenticated", 401, 16, "unauthorized"},
    {ErrorCode::ResourceExhausted, "resource_exhausted", 429, 8, "rate_limited"},
    {ErrorCode::FailedPrecondition, "failed_precondition", 400, 9, "invalid_state"},
    {ErrorCode::OutOfRange, "out_of_range", 413, 11, "too_large"},
    {ErrorCode::Unimplemented, "unimplemented", 501, 12, "unimplemented"},
    {ErrorCode::Unavailable, "unavailable", 503, 14, "unavailable"},
    {ErrorCode::Internal, "internal", 500, 13, "internal_error"},
};

}  // namespace

const ErrorCodeRow& error_code_row(ErrorCode code) {
  for (const ErrorCodeRow& row : kRows) {
    if (row.code == code) return row;
  }
  std::abort();
}

std::optional<ErrorCode> error_code_named(std::string_view name) {
  for (const ErrorCodeRow& row : kRows) {
    if (row.name == name) return row.code;
  }
  return std::nullopt;
}

std::string_view Error::problem_type() const {
  for (const CauseRow& row : kCauses) {
    if (row.cause == cause) return row.problem_type;
  }
  return error_code_row(code).problem_type;
}

Cause cause_of(std::string_view problem_type) {
  for (const CauseRow& row : kCauses) {
    if (row.problem_type == problem_type) return row.cause;
  }
  return Cause::None;
}

std::string to_string(const Error& error) {
  return std::string(to_string(error.code)) + ": " + error.message;
}

std::string_view http_reason(int status) {
  if (status == 499) return "Client Closed Request";
  if (status == 524) return "A Timeout Occurred";
  const auto text = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return {text.data(), text.size()};
}

}  // namespace mesclun
