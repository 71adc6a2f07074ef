#include "companion/start_up.h"

#include <algorithm>
#include <fstream>

#include "base/back_off.h"
#include "base/log.h"
#include "companion/application_check.h"
#include "companion/batch_codec.h"
#include "companion/warmup.h"

namespace mesclun::companion {

Task<Result<bool>> StartUp::check_node() {
  judge_.preparing("the initial checks run");
  CheckRunner runner(config_.checks, clock_, commands_, environment_);
  CO_TRY(const CheckVerdict verdict, co_await runner.run());
  co_return follow(verdict);
}

bool StartUp::follow(const CheckVerdict& verdict) {
  switch (verdict.step) {
    case CheckStep::Serve:
    case CheckStep::Retry:
    case CheckStep::Warn:
      return true;
    case CheckStep::Reallocate:
      endings_.act(Action::Reallocate, verdict.reason, true);
      return false;
    case CheckStep::Exit:
      endings_.act(Action::Exit, verdict.reason, true);
      return false;
  }
  return true;
}

Task<Result<bool>> StartUp::wait_for_application(ApplicationLink& link) {
  CO_TRY(const bool answers, co_await wait_until_it_answers(link));
  if (!answers) co_return false;
  co_return co_await warm_up(link);
}

Task<Result<bool>> StartUp::wait_until_it_answers(ApplicationLink& link) {
  const ApplicationConfig& config = config_.application;
  const TimePoint end = clock_.now() + config.start_timeout;
  for (int tries = 0;; ++tries) {
    const Result<> answer = co_await check_application(config, clock_, link);
    if (answer) co_return true;
    if (answer.code() == ErrorCode::Cancelled) co_return answer.error();
    if (clock_.now() >= end) {
      endings_.act(config.on_failed,
                   fmt::format("the application does not answer {:.0f} s after its start: {}",
                               to_seconds(config.start_timeout), answer.error().message),
                   true);
      co_return false;
    }
    const Duration pause = back_off_step(20ms, 500ms, tries);
    CO_TRY_DO(co_await clock_.sleep_for(std::min<Duration>(pause, end - clock_.now())));
  }
}

Task<Result<bool>> StartUp::warm_up(ApplicationLink& link) {
  const WarmupConfig& warmup = config_.checks.warmup;
  if (warmup.requests == 0) co_return true;
  judge_.preparing("the application warms up");
  CO_TRY(const WarmupRun run,
         co_await run_warmup(warmup, [this, &link] { return warmup_request(link); }, clock_));
  CheckSituation situation{.attempts_done = 1,
                           .retry_allowed = false,
                           .nodes_left = environment_.nodes_left(),
                           .is_local = environment_.machine_id().empty()};
  const CheckVerdict verdict = judge_warmup(run, config_.checks, std::move(situation));
  for (const CheckItem& item : warmup_items(run, warmup)) {
    log_info("checks", item.sentence());
  }
  for (const std::string& warning : verdict.warnings) log_warning("checks", warning);
  co_return follow(verdict);
}

Task<Result<std::optional<double>>> StartUp::warmup_request(ApplicationLink& link) {
  const WarmupConfig& warmup = config_.checks.warmup;
  std::string body = warmup.body;
  if (!warmup.body_file.empty()) {
    std::ifstream file(warmup.body_file, std::ios::binary);
    body.assign(std::istreambuf_iterator<char>(file), {});
    if (!file) co_return Error::not_found("cannot read checks.warmup.body_file");
  }
  const auto& batched = config_.batch.paths;
  const std::vector<BatchItem> items = {
      {.id = 1, .path = warmup.path, .content_type = warmup.content_type, .body = body}};
  const bool as_batch = std::find(batched.begin(), batched.end(), warmup.path) != batched.end();
  HttpCall call{.method = warmup.method, .target = warmup.path, .body = body};
  if (as_batch) {
    call = write_batch(config_.batch, items, "mesclun-warm-up-" + std::to_string(random_.next()));
  } else if (!body.empty()) {
    call.headers.add("Content-Type", warmup.content_type);
  }
  CO_TRY(const HttpReply reply, co_await link.call(std::move(call), clock_.now() + warmup.timeout,
                                                   config_.front.body_max));
  if (reply.status >= 400) {
    co_return Error::unavailable(
        fmt::format("the application answered {} to a warm-up request", reply.status));
  }
  if (!config_.monitor.work) co_return std::optional<double>();
  Result<double> work = find_number(config_.monitor.work, reply.headers, reply.body);
  if (!work && as_batch) {
    CO_TRY(const auto answers, split_answer(reply, items));
    if (answers[0]) {
      work = find_number(config_.monitor.work, answers[0]->headers, answers[0]->body);
    }
  }
  co_return work ? std::optional<double>(*work) : std::nullopt;
}

}  // namespace mesclun::companion
