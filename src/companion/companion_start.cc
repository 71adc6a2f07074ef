// From the start of the container until it serves.
#include <fstream>

#include "base/log.h"
#include "companion/companion.h"

namespace mesclun::companion {

Task<Result<>> Companion::prepare() {
  CO_TRY(const bool checked, co_await run_checks());
  if (!checked) co_return Result<>();
  CO_TRY(const bool started, co_await start_application());
  if (!started) co_return Result<>();
  if (link_) {
    CO_TRY(const bool answers, co_await wait_until_it_answers());
    if (!answers) co_return Result<>();
    CO_TRY(const bool warm, co_await run_warmup_requests());
    if (!warm) co_return Result<>();
  }
  judge_.started(clock_.now());
  log_info("app", "serving");
  if (link_) tasks_.spawn(check_loop());
  if (front_ && config_.monitor.work) tasks_.spawn(monitor_loop());
  tasks_.spawn(gpu_loop());
  co_return Result<>();
}

// False: the instance ends.
bool Companion::follow(const CheckVerdict& verdict) {
  switch (verdict.step) {
    case CheckStep::Serve:
    case CheckStep::Retry:
    case CheckStep::Warn:
      return true;
    case CheckStep::Reallocate:
      act(Action::Reallocate, verdict.reason, true);
      return false;
    case CheckStep::Exit:
      act(Action::Exit, verdict.reason, true);
      return false;
  }
  return true;
}

Task<Result<bool>> Companion::run_checks() {
  judge_.preparing("the initial checks run");
  CheckRunner runner(config_.checks, clock_, runner_, environment_);
  CO_TRY(const CheckVerdict verdict, co_await runner.run());
  co_return follow(verdict);
}

Task<Result<bool>> Companion::start_application() {
  judge_.preparing("the application starts");
  const Result<> started = process_.start(command_);
  if (!started) {
    const int code = started.code() == ErrorCode::NotFound ? 127 : 126;
    end({.kind = Ending::Kind::Exit, .exit_code = code, .reason = started.error().message});
    co_return false;
  }
  log_info("app", "the application runs", {{"command", command_.front()}});
  tasks_.spawn(wait_for_application());
  co_return true;
}

Task<Result<>> Companion::wait_for_application() {
  CO_TRY(application_end_, co_await process_.wait());
  changed_.notify_all();
  end({.kind = Ending::Kind::ApplicationEnded, .exit_code = application_end_->exit_code()});
  co_return Result<>();
}

Task<Result<bool>> Companion::wait_until_it_answers() {
  const TimePoint end = clock_.now() + config_.application.start_timeout;
  Duration pause = 20ms;
  while (true) {
    const Result<> answer = co_await check_application();
    if (answer) co_return true;
    if (answer.code() == ErrorCode::Cancelled) co_return answer.error();
    if (clock_.now() >= end) {
      act(config_.application.on_failed,
          fmt::format("the application does not answer {:.0f} s after its start: {}",
                      to_seconds(config_.application.start_timeout), answer.error().message),
          true);
      co_return false;
    }
    CO_TRY_DO(co_await clock_.sleep_for(std::min<Duration>(pause, end - clock_.now())));
    pause = std::min<Duration>(pause * 2, 500ms);
  }
}

Task<Result<bool>> Companion::run_warmup_requests() {
  const WarmupConfig& warmup = config_.checks.warmup;
  if (warmup.requests == 0) co_return true;
  judge_.preparing("the application warms up");
  CO_TRY(const WarmupRun run,
         co_await run_warmup(warmup, [this] { return warmup_request(); }, clock_));
  CheckSituation situation{.attempts_done = 1,
                           .retry_allowed = false,
                           .nodes_left = environment_.nodes_left(),
                           .is_local = is_local_};
  const CheckVerdict verdict = judge_warmup(run, config_.checks, std::move(situation));
  for (const CheckItem& item : warmup_items(run, warmup)) {
    log_info("checks", item.sentence());
  }
  for (const std::string& warning : verdict.warnings) log_warning("checks", warning);
  co_return follow(verdict);
}

Task<Result<std::optional<double>>> Companion::warmup_request() {
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
  CO_TRY(const HttpReply reply, co_await link_->call(std::move(call), clock_.now() + warmup.timeout,
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
