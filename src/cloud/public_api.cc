#include "cloud/public_api.h"

#include <fmt/format.h>

#include "base/log.h"

namespace mesclun::cloud {

Result<const ApiKey*> PublicApi::key_of(const HttpRequest& request) const {
  const auto header = request.head.headers.find("Salad-Api-Key");
  if (!header || header->empty()) {
    return Error{ErrorCode::Unauthenticated, "send your API key in the header Salad-Api-Key"};
  }
  const ApiKey* key = accounts_.find_key(*header);
  if (key != nullptr) return key;
  return Error{ErrorCode::Unauthenticated, "the API key in Salad-Api-Key is not known here"};
}

Result<ApiTarget> PublicApi::authorize(const Result<const ApiKey*>& shown,
                                       const std::string& rest) const {
  TRY(const ApiKey* key, shown);
  ApiTarget target{.key_id = key->id};
  const auto segments = split_path(rest);
  if (!segments || segments->size() < 3 || (*segments)[0] != "organizations") {
    return no_such_path();
  }
  const Organization* organization = accounts_.find_organization((*segments)[1]);
  const bool member =
      organization != nullptr &&
      std::ranges::find(key->organization_ids, organization->id) != key->organization_ids.end();
  if (organization != nullptr && !member) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("this key's user is no member of organization '{}'", (*segments)[1])};
  }
  if (organization == nullptr) {
    return Error::not_found(fmt::format("no organization '{}'", (*segments)[1].substr(0, 100)));
  }
  target.organization_id = organization->id;
  size_t used = 2;
  if ((*segments)[2] == "projects") {
    if (segments->size() < 5) return no_such_path();
    const Project* project = accounts_.find_project(organization->id, (*segments)[3]);
    if (project == nullptr) {
      return Error::not_found(fmt::format("no project '{}'", (*segments)[3].substr(0, 100)));
    }
    target.project =
        ProjectIdentity{organization->id, organization->name, project->id, project->name};
    used = 4;
  }
  target.rest.assign(segments->begin() + static_cast<std::ptrdiff_t>(used), segments->end());
  return target;
}

std::optional<HttpResponse> PublicApi::refuse_excess(const Result<const ApiKey*>& key,
                                                     RateLimiter& limiter, std::string_view route) {
  if (!key) return std::nullopt;
  const auto wait = limiter.take(fmt::format("{} {}", (*key)->id, route), clock_.now());
  if (!wait) return std::nullopt;
  const Error limited{ErrorCode::ResourceExhausted,
                      "this key made more requests in a minute than it may"};
  return problem_answer(limited, wait);
}

Task<HttpResponse> PublicApi::handle_public(HttpRequest request, std::string rest) {
  const Result<const ApiKey*> key = key_of(request);
  auto target = authorize(key, rest);
  // A key's calls count whatever they name.
  if (auto refused = refuse_excess(key, requests_, "")) co_return *std::move(refused);
  if (!target) co_return problem_answer(target.error());
  auto answer = co_await route(std::move(request), *std::move(target));
  if (answer) co_return *std::move(answer);
  if (answer.code() == ErrorCode::ResourceExhausted) {
    co_return problem_answer(answer.error(), Duration(6s));
  }
  if (answer.code() == ErrorCode::Internal) {
    log_error("api", "a request failed", {{"error", answer.error().message}});
  }
  co_return problem_answer(answer.error());
}

Answer PublicApi::route(HttpRequest request, ApiTarget target) {
  if (!target.project && target.rest.size() == 1 && target.rest[0] == "log-entries") {
    co_return co_await log_entries_.handle(std::move(request), std::move(target));
  }
  if (!target.project) {
    co_return co_await organizations_.handle(std::move(request), std::move(target));
  }
  if (target.rest[0] != "containers") co_return no_such_path();
  if (target.rest.size() >= 3 && target.rest[2] == "instances") {
    co_return co_await instances_.handle(std::move(request), std::move(target));
  }
  co_return co_await groups_.handle(std::move(request), std::move(target));
}

Task<std::optional<HttpResponse>> PublicApi::answer_at_once(HttpRequest& request,
                                                            const ApiTarget& target) {
  const std::vector<std::string>& path = target.rest;
  if (!target.project) co_return std::nullopt;
  const bool of_group = path.size() >= 3 && path[0] == "containers";
  const bool of_project = path.size() == 1 && path[0] == "stats";
  Result<HttpResponse> answer = no_such_path();
  if (of_group && path[2] == "exclusions") {
    answer = co_await exclusions_.handle(std::move(request), target);
  } else if (of_project || (of_group && path.size() == 3 && path[2] == "stats")) {
    answer = co_await stats_.handle(std::move(request), *target.project,
                                    of_project ? std::string() : path[1]);
  } else if (!path.empty() && InsightEndpoint::serves(path)) {
    answer = co_await insights_.handle(std::move(request), target);
  } else if (of_group && path.size() == 3 && UpdateEndpoint::serves(path[2])) {
    answer = co_await updates_.handle(std::move(request), target);
  } else {
    co_return std::nullopt;
  }
  if (!answer) co_return problem_answer(answer.error());
  co_return *std::move(answer);
}

Task<HttpResponse> PublicApi::handle_mesclun(HttpRequest request, std::string rest) {
  Result<const ApiKey*> key = key_of(request);
  std::optional<ExecTicket> ticket;
  if (!key && request.query("ticket")) {
    Result<ExecTicket> shown = execs_.redeem(request, rest);
    if (!shown) co_return problem_answer(shown.error());
    ticket = *std::move(shown);
    const auto found = accounts_.keys().find(ticket->key_id);
    if (found != accounts_.keys().end()) key = &found->second;
  }
  const auto target = authorize(key, rest);
  // Logs and events are counted apart: who follows the ones can still look at the others.
  const std::string kind = target && !target->rest.empty() ? target->rest.back() : "";
  const bool known = kind == "logs" || kind == "events";
  if (auto refused = refuse_excess(key, activity_requests_, known ? kind : "other")) {
    co_return *std::move(refused);
  }
  if (!target) co_return problem_answer(target.error());
  if (target->project && ExecEndpoint::serves(target->rest)) {
    auto answer = co_await execs_.handle(std::move(request), *target, rest, std::move(ticket));
    if (answer) co_return *std::move(answer);
    const bool full = answer.code() == ErrorCode::ResourceExhausted;
    co_return problem_answer(answer.error(), full ? std::optional<Duration>(5s) : std::nullopt);
  }
  if (auto answer = co_await answer_at_once(request, *target)) co_return *std::move(answer);
  const std::string key_id = target->key_id;
  if (waiting_[key_id] >= settings_.activity_waiting_max) {
    const Error limited{ErrorCode::ResourceExhausted,
                        "too many calls of this key wait for logs and events"};
    co_return problem_answer(limited, Duration(1s));
  }
  ++waiting_[key_id];
  auto answer = co_await activity_.handle(std::move(request), *target);
  if (--waiting_[key_id] == 0) waiting_.erase(key_id);
  if (!answer) co_return problem_answer(answer.error());
  co_return *std::move(answer);
}

}  // namespace mesclun::cloud
