// From the start of the container until it may serve: the node is checked, the application answers
// and is warm.
#pragma once

#include "base/random.h"
#include "companion/application_link.h"
#include "companion/check_runner.h"
#include "companion/ending.h"
#include "companion/health_judge.h"

namespace mesclun::companion {

// Runs on:   one loop; the two in order, each once.
// Returns:   false if the instance ends instead, as `endings` has been told. Cancelled is the only
//            error.
// Lifetime:  all that it is given outlives it.
class StartUp {
 public:
  StartUp(const Config& config, Clock& clock, Random& random, CommandRunner& commands,
          const CheckEnvironment& environment, HealthJudge& judge, Endings& endings)
      : config_(config),
        clock_(clock),
        random_(random),
        commands_(commands),
        environment_(environment),
        judge_(judge),
        endings_(endings) {}

  Task<Result<bool>> check_node();
  // The application has been started.
  Task<Result<bool>> wait_for_application(ApplicationLink& link);

 private:
  Task<Result<bool>> wait_until_it_answers(ApplicationLink& link);
  Task<Result<bool>> warm_up(ApplicationLink& link);
  Task<Result<std::optional<double>>> warmup_request(ApplicationLink& link);
  bool follow(const CheckVerdict& verdict);

  const Config& config_;
  Clock& clock_;
  Random& random_;
  CommandRunner& commands_;
  const CheckEnvironment& environment_;
  HealthJudge& judge_;
  Endings& endings_;
};

}  // namespace mesclun::companion
