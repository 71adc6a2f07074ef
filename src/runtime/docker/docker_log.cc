#include "runtime/docker/docker_log.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/race.h"
#include "runtime/docker/log_frames.h"
#include "runtime/process/run_files.h"

namespace mesclun::runtime {

namespace {

constexpr Duration kRetry = 1s;
// For the engine to hand over the last lines of what has ended.
constexpr Duration kLastLinesLimit = 5s;

// "1796000000.000000001", from unix ns.
std::string engine_time(int64_t time) {
  constexpr int64_t kSecond = 1'000'000'000;
  return fmt::format("{}.{:09}", time / kSecond, time % kSecond);
}

void advance(LogPosition& position, int64_t time) {
  if (time == position.time) {
    ++position.lines;
  } else {
    position = {.time = time, .lines = 1};
  }
}

Task<Result<>> wait_for_lines(const std::deque<LogChunk>& lines, size_t count, const bool& complete,
                              Notify& changed) {
  while (lines.size() < count && !complete) CO_TRY_DO(co_await changed.wait());
  co_return Result<>();
}

}  // namespace

DockerLog::DockerLog(const asio::any_io_executor& executor, std::string path, int64_t since)
    : path_(std::move(path)), changed_(executor) {
  handed_out_.time = since;
  if (Result<LogPosition> kept = read_record<LogPosition>(path_)) handed_out_ = *kept;
  received_ = stored_ = handed_out_;
}

Task<Result<>> DockerLog::follow(Engine& engine, Clock& clock, std::string container,
                                 std::optional<int64_t> until) {
  while (true) {
    const Result<> followed = co_await follow_once(engine, container, until);
    if (followed || stopped_ || followed.code() == ErrorCode::NotFound) break;
    if (followed.code() == ErrorCode::Cancelled) co_return followed;
    if (followed.code() != ErrorCode::Unavailable) {
      log_warning("driver", "cannot read the log of a container",
                  {{"container", container}, {"error", followed.error().message}});
    }
    CO_TRY_DO(co_await clock.sleep_for(kRetry));
  }
  complete_ = true;
  changed_.notify_all();
  co_return Result<>();
}

Task<Result<>> DockerLog::follow_once(Engine& engine, std::string container,
                                      std::optional<int64_t> until) {
  skip_ = received_.lines;
  std::string target = fmt::format("/containers/{}/logs?stdout=1&stderr=1&timestamps=1&since={}",
                                   container, engine_time(received_.time));
  target += until ? "&until=" + engine_time(*until - 1) : "&follow=1";
  CO_TRY(const std::unique_ptr<EngineStream> stream,
         co_await engine.open({.target = std::move(target)}));
  LogFrames frames;
  std::deque<LogChunk> fresh;
  while (true) {
    while (lines_.size() >= kLinesMax && !stopped_) CO_TRY_DO(co_await changed_.wait());
    if (stopped_) co_return Result<>();
    CO_TRY(const std::string bytes, co_await stream->read());
    if (bytes.empty()) break;
    CO_TRY_DO(frames.feed(bytes, fresh));
    take(fresh);
  }
  frames.finish(fresh);
  take(fresh);
  co_return Result<>();
}

void DockerLog::stop() {
  stopped_ = true;
  changed_.notify_all();
}

void DockerLog::take(std::deque<LogChunk>& fresh) {
  for (LogChunk& line : fresh) {
    if (skip_ > 0 && line.time == received_.time) {
      --skip_;
      continue;
    }
    skip_ = 0;
    advance(received_, line.time);
    lines_.push_back(std::move(line));
  }
  fresh.clear();
  changed_.notify_all();
}

Task<Result<std::vector<LogChunk>>> DockerLog::read(size_t lines_max, bool ended, Clock& clock) {
  if (handed_out_ != stored_ && write_record(path_, handed_out_)) stored_ = handed_out_;
  if (ended) {
    // Without its last lines rather than never.
    const Result<> there = co_await within(clock, kLastLinesLimit,
                                           wait_for_lines(lines_, lines_max, complete_, changed_));
    if (!there && there.code() == ErrorCode::Cancelled) co_return there.error();
  }
  std::vector<LogChunk> out;
  while (!lines_.empty() && out.size() < lines_max) {
    advance(handed_out_, lines_.front().time);
    out.push_back(std::move(lines_.front()));
    lines_.pop_front();
  }
  if (!out.empty()) changed_.notify_all();
  co_return out;
}

}  // namespace mesclun::runtime
