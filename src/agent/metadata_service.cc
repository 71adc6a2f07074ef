#include "agent/metadata_service.h"

#include <fmt/format.h>

#include "base/json.h"

namespace mesclun::agent {

namespace {

constexpr size_t kReasonMax = 1'000;  // characters

struct CostBody {
  int32_t deletion_cost = 0;
};
BOOST_DESCRIBE_STRUCT(CostBody, (), (deletion_cost))

struct ReasonBody {
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(ReasonBody, (), (reason))

struct StatusBody {
  bool ready = false;
  bool started = false;
};
BOOST_DESCRIBE_STRUCT(StatusBody, (), (ready, started))

struct TokenBody {
  std::string jwt;
};
BOOST_DESCRIBE_STRUCT(TokenBody, (), (jwt))

template <class T>
HttpResponse ok(const T& body) {
  HttpResponse response;
  response.headers.add("Content-Type", "application/json");
  response.body = to_json_text(body);
  return response;
}

HttpResponse no_content() {
  HttpResponse response;
  response.status = 204;
  return response;
}

HttpResponse problem_response(json::object problem, int status) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "application/problem+json");
  problem["type"] = "about:blank";
  problem["status"] = status;
  const std::string_view title = http_reason(status);
  problem["title"] = title;
  response.body = json::serialize(problem);
  return response;
}

// "/reason is required" under `errors.reason`.
HttpResponse validation_problem(const std::vector<JsonProblem>& problems) {
  json::object errors;
  for (const JsonProblem& problem : problems) {
    const std::string name = problem.path.empty() ? "body" : problem.path.substr(1);
    json::value& list = errors[name];
    if (!list.is_array()) list = json::array();
    list.get_array().emplace_back(json::string(problem.message));
  }
  json::object body{{"code", "validation-failed"}, {"detail", "the request body is not valid"}};
  body["errors"] = std::move(errors);
  return problem_response(std::move(body), 400);
}

// Published applications send {"Reason": ...}: the case of members does not matter.
template <class T>
std::optional<HttpResponse> read_body(const std::string& text, T& body) {
  const Result<json::value> value = parse_json(text);
  if (!value) {
    return validation_problem({{"", "is not JSON: " + value.error().message}});
  }
  JsonProblems problems;
  problems.ignore_member_case = true;
  read_json(*value, body, JsonPath{}, problems);
  if (!problems.empty()) return validation_problem(problems.all());
  return std::nullopt;
}

size_t count_characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

HttpResponse put_deletion_cost(MetadataHost& host, const std::string& text) {
  CostBody body;
  if (auto refused = read_body(text, body)) return std::move(*refused);
  host.set_deletion_cost(body.deletion_cost);
  return no_content();
}

HttpResponse post_reallocate(MetadataHost& host, const std::string& text) {
  ReasonBody body;
  if (auto refused = read_body(text, body)) return std::move(*refused);
  const size_t length = count_characters(body.reason);
  if (length < 1 || length > kReasonMax) {
    return validation_problem({{"/reason", "must be 1 to 1000 characters long"}});
  }
  host.ask(SelfAction::Reallocate, std::move(body.reason));
  return no_content();
}

// What the body says does not matter: published clients send anything or nothing.
HttpResponse post_action(MetadataHost& host, SelfAction action) {
  host.ask(action, {});
  return no_content();
}

Task<HttpResponse> get_token(MetadataHost& host) {
  Result<std::string> token = co_await host.token();
  if (token) {
    TokenBody body{.jwt = std::move(*token)};
    co_return ok(body);
  }
  if (token.code() == ErrorCode::NotFound) {
    co_return metadata_problem(404, "container-not-found", token.error().message);
  }
  co_return metadata_problem(503, "not-ready", token.error().message);
}

std::optional<HttpResponse> check_headers(const HttpRequest& request, HeaderRule rule) {
  const HeaderList& headers = request.head.headers;
  for (std::string_view name : {"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}) {
    if (headers.has(name)) {
      return metadata_problem(403, "forwarded-header-forbidden",
                              fmt::format("requests with {} are refused", name));
    }
  }
  const bool waived = rule == HeaderRule::Off ||
                      (rule == HeaderRule::RelaxedForActions && request.head.method == "POST");
  if (!waived && headers.find("Metadata").value_or("") != "true") {
    return metadata_problem(403, "metadata-header-required",
                            "the header 'Metadata: true' is required");
  }
  return std::nullopt;
}

struct PathMethods {
  std::string_view path;
  std::string_view method;
  std::string_view other = {};

  std::string allowed() const {
    return other.empty() ? std::string(method) : fmt::format("{}, {}", method, other);
  }
};
constexpr PathMethods kPaths[] = {
    {"/v1/status", "GET"},      {"/v1/token", "GET"},     {"/v1/deletion-cost", "GET", "PUT"},
    {"/v1/reallocate", "POST"}, {"/v1/recreate", "POST"}, {"/v1/restart", "POST"},
};

}  // namespace

HttpResponse metadata_problem(int status, std::string_view code, std::string_view detail) {
  return problem_response({{"code", code}, {"detail", detail}}, status);
}

Task<HttpResponse> answer_metadata(MetadataHost& host, HeaderRule rule, HttpRequest request) {
  if (auto refused = check_headers(request, rule)) co_return std::move(*refused);
  const std::string_view path = request.path();
  const std::string_view method = request.head.method;
  const auto known = std::ranges::find(kPaths, path, &PathMethods::path);
  if (known == std::end(kPaths)) {
    co_return metadata_problem(404, "not-found", "there is no such path");
  }
  if (method != known->method && (method != known->other || method.empty())) {
    HttpResponse response = metadata_problem(405, "method-not-allowed",
                                             fmt::format("{} takes {}", path, known->allowed()));
    response.headers.add("Allow", known->allowed());
    co_return response;
  }
  if (!host.present()) {
    co_return metadata_problem(404, "container-not-found", "this instance is being removed");
  }
  if (path == "/v1/status") {
    StatusBody body{.ready = host.ready(), .started = host.started()};
    co_return ok(body);
  }
  if (path == "/v1/token") co_return co_await get_token(host);
  if (path == "/v1/reallocate") co_return post_reallocate(host, request.body);
  if (path == "/v1/recreate") co_return post_action(host, SelfAction::Recreate);
  if (path == "/v1/restart") co_return post_action(host, SelfAction::Restart);
  if (method == "PUT") co_return put_deletion_cost(host, request.body);
  CostBody body{.deletion_cost = host.deletion_cost()};
  co_return ok(body);
}

namespace {

HttpLimits limits() {
  HttpLimits limits;
  limits.head_bytes_max = 16 * 1024;
  limits.body_bytes_max = 64 * 1024;
  limits.connections_max = 256;
  return limits;
}

HttpResponse refused_by_server(const Error& error) {
  return metadata_problem(http_status(error.code), "bad-request", error.message);
}

}  // namespace

MetadataService::MetadataService(const asio::any_io_executor& executor, Clock& clock,
                                 MetadataHost& host, HeaderRule rule)
    : server_(
          executor, clock, "metadata", limits(),
          [&host, rule](HttpRequest request) {
            return answer_metadata(host, rule, std::move(request));
          },
          refused_by_server) {}

}  // namespace mesclun::agent
