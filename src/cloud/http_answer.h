// Answers of our HTTP endpoints.
#pragma once

#include "api/problem.h"
#include "base/json.h"
#include "http/server.h"

namespace mesclun::cloud {

HttpResponse json_answer(int status, const json::value& body);
HttpResponse empty_answer(int status);
// `retry_after`: in whole seconds, at least 1, for 429.
HttpResponse problem_answer(const Error& error, std::optional<Duration> retry_after = {});
HttpResponse method_not_allowed(std::string_view allowed);

// Segments of a path, decoded; nothing if an escape is broken. An empty segment is no name and is
// kept, so that it matches nothing.
std::optional<std::vector<std::string>> split_path(std::string_view path);
Error no_such_path();

// The request's document; an empty body is null. InvalidArgument, with the byte at which it broke.
Result<json::value> read_document(const HttpRequest& request);
// The same as a struct; unknown members are refused.
template <class T>
Result<T> read_body(const HttpRequest& request) {
  TRY(const json::value document, parse_json(request.body));
  T out{};
  JsonProblems problems;
  problems.refuse_unknown_members = true;
  read_json(document, out, JsonPath{}, problems);
  if (!problems.empty()) return problems.to_error();
  return out;
}
// An action's body: nothing, or an object that is not looked at.
Result<> read_no_document(const HttpRequest& request);

// Empty if the client does not name itself.
std::string user_agent_of(const HttpRequest& request);

// A query parameter that is a whole number within bounds; `fallback` if it is absent.
Result<int64_t> query_number(const HttpRequest& request, std::string_view name, int64_t fallback,
                             int64_t min, int64_t max);

}  // namespace mesclun::cloud
