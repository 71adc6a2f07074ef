#include "registry/pull_desk.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crypto.h"

namespace mesclun::registry {

namespace {

// By its hash: secrets are kept in no more places than need be.
std::string key_of(const ImageName& image, const api::RegistryAuthentication& credentials) {
  json::array parts;
  parts.emplace_back(image.registry);
  parts.emplace_back(image.repository);
  parts.push_back(write_json(credentials));
  return sha256_hex(json::serialize(parts));
}

}  // namespace

PullDesk::PullDesk(const asio::any_io_executor& executor, Clock& clock, PullAccessSettings settings)
    : clock_(clock), settings_(std::move(settings)), scope_(executor, "pull desk") {}

Task<Result<PullAccess>> PullDesk::access(std::string customer, ImageName image,
                                          api::RegistryAuthentication credentials) {
  const std::string key = key_of(image, credentials);
  if (auto known = cache_.find(key, clock_.now())) co_return *std::move(known);
  QuestionPtr question;
  if (const auto found = out_.find(key); found != out_.end()) {
    question = found->second;
  } else {
    CO_TRY(question, begin(key, std::move(customer), std::move(image), std::move(credentials)));
  }
  while (!question->answer) CO_TRY_DO(co_await question->changed.wait());
  co_return *question->answer;
}

Result<PullDesk::QuestionPtr> PullDesk::begin(const std::string& key, std::string customer,
                                              ImageName image,
                                              api::RegistryAuthentication credentials) {
  const auto of_customer = std::ranges::count_if(
      out_, [&customer](const auto& known) { return known.second->customer == customer; });
  if (out_.size() >= kQuestionsMax || static_cast<size_t>(of_customer) >= kQuestionsOfCustomerMax) {
    return Error{ErrorCode::ResourceExhausted,
                 "too many registries are being asked for the right to pull; try again"};
  }
  auto question = std::make_shared<Question>(scope_.executor());
  question->customer = std::move(customer);
  out_[key] = question;
  scope_.spawn(fetch(key, question, std::move(image), std::move(credentials)));
  return question;
}

// Not the task of who asked first: that one may leave, and the others wait on.
Task<Result<>> PullDesk::fetch(std::string key, QuestionPtr question, ImageName image,
                               api::RegistryAuthentication credentials) {
  question->answer =
      co_await fetch_pull_access(clock_, settings_, std::move(image), std::move(credentials));
  const bool cancelled = !*question->answer && question->answer->code() == ErrorCode::Cancelled;
  if (!cancelled) cache_.keep(key, *question->answer, clock_.now());
  out_.erase(key);
  question->changed.notify_all();
  co_return Result<>();
}

}  // namespace mesclun::registry
