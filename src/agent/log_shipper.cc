#include "agent/log_shipper.h"

#include <algorithm>

#include "base/text.h"

namespace mesclun::agent {

namespace {

// At its end a run may leave more than one read takes: what its driver keeps, the process driver
// two files of 4 MiB.
constexpr int kReadsAtEnd = 1'000;
// Time, stream and the JSON around a line.
constexpr size_t kLineOverhead = 64;

bool is_same(const runtime::LogChunk& chunk, const link::LogLine& line) {
  return chunk.time == line.time && chunk.stream == line.stream && chunk.text == line.text;
}

}  // namespace

LogShipper::LogShipper(const asio::any_io_executor& executor, runtime::ContainerDriver& driver,
                       Clock& clock, LogLimits limits, LogSegments* segments)
    : driver_(driver),
      clock_(clock),
      limits_(limits),
      read_done_(executor),
      spool_(segments == nullptr ? own_segments_ : *segments, limits.spool_bytes_max) {}

void LogShipper::add(LogSource source) {
  if (limits_.interval == Duration::zero()) return;
  Stream& stream = streams_[source.instance_id];
  stream.source = std::move(source);
}

Task<Result<>> LogShipper::finish(std::string instance_id) {
  if (!streams_.contains(instance_id)) co_return Result<>();
  for (int i = 0; i < kReadsAtEnd; ++i) {
    CO_TRY(const size_t lines, co_await read(instance_id));
    if (lines < limits_.lines_per_read) break;
  }
  streams_.erase(instance_id);
  co_return Result<>();
}

// Lines taken; 0 also if the driver has trouble. Cancelled is the only error.
Task<Result<size_t>> LogShipper::read(std::string instance_id) {
  while (streams_.contains(instance_id) && streams_[instance_id].reading) {
    CO_TRY_DO(co_await read_done_.wait());
  }
  if (!streams_.contains(instance_id)) co_return size_t{0};
  streams_[instance_id].reading = true;
  Result<std::vector<runtime::LogChunk>> chunks =
      co_await driver_.read_log(instance_id, limits_.lines_per_read);
  const size_t count = chunks ? chunks->size() : 0;
  if (count > 0) {
    keep(streams_[instance_id], std::move(*chunks));
    // A driver remembers at the next call what it handed out at this one.
    chunks = co_await driver_.read_log(instance_id, 0);
  }
  streams_[instance_id].reading = false;
  read_done_.notify_all();
  if (!chunks && chunks.code() == ErrorCode::Cancelled) co_return chunks.error();
  co_return count;
}

void LogShipper::keep(Stream& stream, std::vector<runtime::LogChunk> chunks) {
  std::span<runtime::LogChunk> fresh(chunks);
  for (runtime::LogChunk& chunk : chunks)
    chunk.text = valid_utf8(chunk.text, limits_.line_bytes_max);
  if (std::exchange(stream.fresh, false)) {
    if (const auto last = spool_.take_last_line(stream.source.instance_id)) {
      const auto known = std::ranges::find_if(
          chunks.rbegin(), chunks.rend(),
          [&last](const runtime::LogChunk& chunk) { return is_same(chunk, *last); });
      fresh = fresh.subspan(static_cast<size_t>(chunks.rend() - known));
    }
  }
  while (!fresh.empty()) {
    link::LogBatch batch{.group_id = stream.source.group_id,
                         .instance_id = stream.source.instance_id,
                         .version = stream.source.version};
    size_t bytes = 0;
    while (!fresh.empty() && bytes < limits_.batch_bytes_max) {
      runtime::LogChunk& chunk = fresh.front();
      bytes += chunk.text.size() + kLineOverhead;
      batch.lines.push_back(
          {.time = chunk.time, .stream = std::move(chunk.stream), .text = std::move(chunk.text)});
      fresh = fresh.subspan(1);
    }
    spool_.append(std::move(batch));
  }
}

void LogShipper::acknowledge(int64_t sequence) {
  progress_ = clock_.now();
  spool_.acknowledge(sequence);
}

Task<Result<>> LogShipper::ship(link::Session& session) {
  if (limits_.interval == Duration::zero()) co_return Result<>();
  progress_ = clock_.now();
  while (true) {
    CO_TRY_DO(co_await read_round());
    CO_TRY_DO(send_round(session));
    CO_TRY_DO(co_await clock_.sleep_for(limits_.interval));
  }
}

// Each run in its turn, so that a chatty one does not silence the others.
Task<Result<>> LogShipper::read_round() {
  // Reading ahead of what the session takes would only push out what waits.
  const size_t ahead_max = std::min(limits_.waiting_bytes_max, limits_.spool_bytes_max / 4);
  for (size_t looked = streams_.size(); looked > 0 && spool_.unsaid_bytes() <= ahead_max;
       --looked) {
    auto next = streams_.upper_bound(read_last_);
    if (next == streams_.end()) next = streams_.begin();
    if (next == streams_.end()) break;
    read_last_ = next->first;
    CO_TRY(std::ignore, co_await read(next->first));
  }
  co_return Result<>();
}

Result<> LogShipper::send_round(link::Session& session) {
  if (spool_.waiting_bytes() == 0) progress_ = clock_.now();
  if (clock_.now() >= progress_ + limits_.say_again) {
    progress_ = clock_.now();
    spool_.rewind();
  }
  for (size_t sent = 0; sent < limits_.batches_per_round; ++sent) {
    if (!session.has_room() || spool_.waiting_bytes() > limits_.waiting_bytes_max) break;
    const std::optional<link::LogBatch> batch = spool_.next();
    if (!batch) break;
    TRY_DO(session.send(*batch));
  }
  return {};
}

}  // namespace mesclun::agent
