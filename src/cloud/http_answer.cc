#include "cloud/http_answer.h"

#include <fmt/format.h>

#include "base/integer.h"
#include "http/url.h"

namespace mesclun::cloud {

HttpResponse json_answer(int status, const json::value& body) {
  HttpResponse response{.status = status};
  response.headers.add("Content-Type", "application/json");
  response.body = json::serialize(body);
  return response;
}

HttpResponse empty_answer(int status) {
  return {.status = status};
}

HttpResponse problem_answer(const Error& error, std::optional<Duration> retry_after) {
  const int status = http_status(error.code);
  HttpResponse response{.status = status};
  // Without charset: a published client compares the type literally (api.md §2).
  response.headers.add("Content-Type", api::kProblemMediaType);
  if (retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*retry_after).count();
    response.headers.add("Retry-After", std::to_string(std::max<int64_t>(1, seconds)));
  }
  response.body = api::problem_json(error, status);
  return response;
}

HttpResponse method_not_allowed(std::string_view allowed) {
  HttpResponse response{.status = 405};
  response.headers.add("Content-Type", api::kProblemMediaType);
  response.headers.add("Allow", allowed);
  response.body = api::problem_json("method_not_allowed", 405, fmt::format("use {}", allowed));
  return response;
}

std::optional<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    auto decoded = percent_decode(path.substr(0, slash));
    if (!decoded) return std::nullopt;
    out.push_back(*std::move(decoded));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

Error no_such_path() {
  return Error::not_found("there is nothing at this path");
}

Result<json::value> read_document(const HttpRequest& request) {
  if (request.body.find_first_not_of(" \t\r\n") == std::string::npos) return json::value();
  return parse_json(request.body);
}

Result<> read_no_document(const HttpRequest& request) {
  TRY(const json::value document, read_document(request));
  if (document.is_null() || document.is_object()) return {};
  return Error::invalid("the body must be empty or an object");
}

std::string user_agent_of(const HttpRequest& request) {
  return std::string(request.head.headers.find("User-Agent").value_or(""));
}

Result<int64_t> query_number(const HttpRequest& request, std::string_view name, int64_t fallback,
                             int64_t min, int64_t max) {
  const auto text = request.query(name);
  if (!text) return fallback;
  const auto value = parse_integer<int64_t>(*text);
  if (!value || *value < min || *value > max) {
    return Error::invalid(
        fmt::format("query parameter {} must be a number between {} and {}", name, min, max));
  }
  return *value;
}

}  // namespace mesclun::cloud
