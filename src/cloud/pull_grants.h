// Answers nodes that are to pull an image: the credentials of its group stay here, and what leaves is
// the least that the registry makes of them.
#pragma once

#include <functional>

#include "cloud/fleet.h"
#include "registry/pull_desk.h"
#include "store/database.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Bounds:   kAsking questions of one node at once, and the desk's; more are refused.
// Lifetime: all that the constructor gets outlives it; stop() before its end.
class PullGrants {
 public:
  using Reply = std::function<void(link::PullReply)>;

  PullGrants(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
             const Fleet& fleet, registry::PullAccessSettings settings);

  // Refused with NotFound: the group does not run on this node. `reply` is called once, later or at
  // once, unless stop() comes first.
  void ask(std::string node_id, link::SpecName spec, Reply reply);
  Task<void> stop();

  static constexpr size_t kAsking = 16;

 private:
  struct Question {
    std::string node_id;
    std::string group_id;
    std::string organization_id;
    registry::ImageName image;
  };

  Result<Question> check(const std::string& node_id, const link::SpecName& spec) const;
  Task<Result<>> answer(Question question, link::SpecName spec, Reply reply);
  Task<Result<registry::PullAccess>> find(Question question);

  store::Database& database_;
  const Fleet& fleet_;
  registry::PullDesk desk_;
  std::map<std::string, size_t> asking_;  // by node; without zeros
  Scope scope_;
};

}  // namespace mesclun::cloud
