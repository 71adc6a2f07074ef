// Where the right to pull is asked for, by many at once.
#pragma once

#include <map>
#include <memory>

#include "base/scope.h"
#include "registry/access_cache.h"
#include "registry/pull_access.h"

namespace mesclun::registry {

// Runs on:  one loop.
// Promise:  the same question at the same time is asked of the registry once.
// Errors:   fetch_pull_access()'s; ResourceExhausted, too many questions are out already, of all or
//           of this customer.
// Lifetime: clock outlives it; stop() before its end.
class PullDesk {
 public:
  PullDesk(const asio::any_io_executor& executor, Clock& clock, PullAccessSettings settings);

  // `customer`: whose credentials they are, so that the slow registries of one keep nobody else.
  Task<Result<PullAccess>> access(std::string customer, ImageName image,
                                  api::RegistryAuthentication credentials);
  Task<void> stop() { return scope_.stop(); }

  static constexpr size_t kQuestionsMax = 128;
  static constexpr size_t kQuestionsOfCustomerMax = 16;

 private:
  struct Question {
    explicit Question(const asio::any_io_executor& executor) : changed(executor) {}
    std::string customer;
    std::optional<Result<PullAccess>> answer;
    Notify changed;
  };
  using QuestionPtr = std::shared_ptr<Question>;

  Result<QuestionPtr> begin(const std::string& key, std::string customer, ImageName image,
                            api::RegistryAuthentication credentials);
  Task<Result<>> fetch(std::string key, QuestionPtr question, ImageName image,
                       api::RegistryAuthentication credentials);

  Clock& clock_;
  const PullAccessSettings settings_;
  AccessCache cache_;
  std::map<std::string, QuestionPtr> out_;  // by the cache's key
  Scope scope_;
};

}  // namespace mesclun::registry
