#include "agent/log_shipper.h"

#include "base/text.h"

namespace mesclun::agent {

namespace {

// At its end a run may leave more than one read takes; what a program writes in a burst before it
// dies fits.
constexpr int kReadsAtEnd = 10;
// Time, stream and the JSON around a line.
constexpr size_t kLineOverhead = 64;

}  // namespace

LogShipper::LogShipper(const asio::any_io_executor& executor, runtime::ContainerDriver& driver,
                       Clock& clock, LogLimits limits)
    : driver_(driver), clock_(clock), limits_(limits), read_done_(executor) {}

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
  if (const auto found = streams_.find(instance_id); found != streams_.end()) {
    found->second.finished = true;
    if (found->second.lines.empty()) streams_.erase(found);
  }
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
  Stream& stream = streams_[instance_id];
  stream.reading = false;
  read_done_.notify_all();
  if (!chunks) {
    if (chunks.code() == ErrorCode::Cancelled) co_return chunks.error();
    co_return size_t{0};
  }
  const size_t count = chunks->size();
  keep(stream, std::move(*chunks));
  co_return count;
}

void LogShipper::keep(Stream& stream, std::vector<runtime::LogChunk> chunks) {
  for (runtime::LogChunk& chunk : chunks) {
    link::LogLine line{.time = chunk.time, .stream = std::move(chunk.stream)};
    line.text = valid_utf8(chunk.text, limits_.line_bytes_max);
    pending_bytes_ += line.text.size() + kLineOverhead;
    stream.lines.push_back(std::move(line));
  }
  while (pending_bytes_ > limits_.pending_bytes_max && !stream.lines.empty()) {
    pending_bytes_ -= stream.lines.front().text.size() + kLineOverhead;
    stream.lines.pop_front();
    ++stream.dropped;
  }
}

Task<Result<>> LogShipper::ship(link::Session& session) {
  if (limits_.interval == Duration::zero()) co_return Result<>();
  while (true) {
    std::vector<std::string> live;
    for (const auto& [id, stream] : streams_) {
      if (!stream.finished) live.push_back(id);
    }
    for (std::string& id : live) {
      // Reading ahead of what the session takes would only move the lines from the driver to us.
      if (pending_bytes_ > limits_.pending_bytes_max / 2) break;
      CO_TRY(std::ignore, co_await read(std::move(id)));
    }
    CO_TRY_DO(send_round(session));
    CO_TRY_DO(co_await clock_.sleep_for(limits_.interval));
  }
}

Result<> LogShipper::send_round(link::Session& session) {
  size_t sent = 0;
  // Each run in its turn, so that a chatty one does not silence the others.
  for (size_t looked = streams_.size(); looked > 0 && sent < limits_.batches_per_round; --looked) {
    auto next = streams_.upper_bound(sent_last_);
    if (next == streams_.end()) next = streams_.begin();
    sent_last_ = next->first;
    Stream& stream = next->second;
    if (!stream.lines.empty()) {
      TRY_DO(session.send(take_batch(stream)));
      ++sent;
    }
    if (stream.finished && stream.lines.empty()) streams_.erase(next);
  }
  return {};
}

link::LogBatch LogShipper::take_batch(Stream& stream) {
  link::LogBatch batch{.group_id = stream.source.group_id,
                       .instance_id = stream.source.instance_id,
                       .version = stream.source.version};
  batch.dropped = std::exchange(stream.dropped, 0);
  size_t bytes = 0;
  while (!stream.lines.empty() && bytes < limits_.batch_bytes_max) {
    const size_t size = stream.lines.front().text.size() + kLineOverhead;
    bytes += size;
    pending_bytes_ -= size;
    batch.lines.push_back(std::move(stream.lines.front()));
    stream.lines.pop_front();
  }
  return batch;
}

}  // namespace mesclun::agent
