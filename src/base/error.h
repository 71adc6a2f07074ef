// What went wrong, as a value: a code that callers act on, and a sentence for people.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mesclun {

// The gRPC vocabulary. A new code is added only if some caller would act on it.
enum class ErrorCode {
  Cancelled,           // the caller gave up; pass it on, never log it as a failure
  InvalidArgument,     // the request is wrong whatever the state
  DeadlineExceeded,    // a bounded wait ended first
  NotFound,            //
  AlreadyExists,       // a unique name is taken
  PermissionDenied,    // known caller, not allowed
  Unauthenticated,     // unknown caller
  ResourceExhausted,   // over a rate or a bound; try later
  FailedPrecondition,  // the request is right, the state is not
  OutOfRange,          // larger than a limit
  Unimplemented,       //
  Unavailable,         // the other side is away or busy; try again
  Internal,            // our fault
};

// What exactly, where some caller acts on more than the code.
enum class Cause {
  None,           // the code says all
  NameConflict,   // the name was used before
  QuotaExceeded,  //
  Refused,        // nobody listens on the port
  Unreachable,    // no connection came about: nothing can have been sent
  RefusedEarly,   // by ourselves, before anything was sent
  Stopped,        //
  Usage,          // of the command line
};

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  Cause cause = Cause::None;

  // The `type` of the public problem object: a short snake_case word, of the cause or the code.
  std::string_view problem_type() const;

  static Error cancelled() { return {ErrorCode::Cancelled, "cancelled"}; }
  static Error invalid(std::string message) {
    return {ErrorCode::InvalidArgument, std::move(message)};
  }
  static Error not_found(std::string message) { return {ErrorCode::NotFound, std::move(message)}; }
  static Error unavailable(std::string message) {
    return {ErrorCode::Unavailable, std::move(message)};
  }
  static Error deadline(std::string message) {
    return {ErrorCode::DeadlineExceeded, std::move(message)};
  }
  static Error internal(std::string message) { return {ErrorCode::Internal, std::move(message)}; }
};

// One row a code: its name, HTTP status, gRPC status and the default `type` of a problem object.
struct ErrorCodeRow {
  ErrorCode code;
  std::string_view name;
  int http_status;
  int grpc_status;
  std::string_view problem_type;
};

const ErrorCodeRow& error_code_row(ErrorCode code);

inline int http_status(ErrorCode code) {
  return error_code_row(code).http_status;
}
// The other way round, for who reads a problem object; None for any other `type`.
Cause cause_of(std::string_view problem_type);
// By its name, as to_string() has it.
std::optional<ErrorCode> error_code_named(std::string_view name);
// "Not Found" for 404; empty for a status that nobody has defined.
std::string_view http_reason(int status);
inline std::string_view to_string(ErrorCode code) {
  return error_code_row(code).name;
}

// "not_found: no such group"; for logs and the command line.
std::string to_string(const Error& error);

}  // namespace mesclun
