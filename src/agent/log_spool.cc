#include "agent/log_spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/integer.h"
#include "base/log.h"

namespace mesclun::agent {

namespace {

constexpr size_t kSegmentBytesMax = 4 * 1024 * 1024;
constexpr size_t kReadBytes = 256 * 1024;
// One that is wholly acknowledged and smaller is written on: no new file for every line.
constexpr size_t kKeptBytesMax = 256 * 1024;

std::optional<int64_t> take_number(std::string_view& text) {
  const size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  const auto value = parse_integer<int64_t>(text.substr(0, blank));
  if (value) text.remove_prefix(blank + 1);
  return value;
}

}  // namespace

LogSpool::LogSpool(LogSegments& segments, size_t bytes_max)
    : segments_(segments),
      bytes_max_(bytes_max),
      segment_bytes_(std::min(kSegmentBytesMax, std::max<size_t>(bytes_max / 8, 1))) {}

std::optional<LogSpool::Record> LogSpool::read_record(std::string_view line) {
  const auto sequence = take_number(line);
  if (!sequence) return std::nullopt;
  const auto lines = take_number(line);
  const size_t blank = line.find(' ');
  if (!lines || blank == std::string_view::npos) return std::nullopt;
  return Record{*sequence, *lines, line.substr(0, blank), line.substr(blank + 1)};
}

void LogSpool::load(int64_t first) {
  for (const int64_t number : segments_.list()) load_segment(number);
  next_sequence_ = std::max(next_sequence_, first);
  rewind();
}

void LogSpool::load_segment(int64_t number) {
  Segment segment{.number = number};
  std::string rest;
  while (true) {
    const Result<std::string> read =
        segments_.read(number, static_cast<int64_t>(segment.bytes), kReadBytes);
    if (!read || read->empty()) break;
    const auto begin = static_cast<int64_t>(segment.bytes - rest.size());
    segment.bytes += read->size();
    rest += *read;
    size_t at = 0;
    for (size_t end; (end = rest.find('\n', at)) != std::string::npos; at = end + 1) {
      const auto record = read_record(std::string_view(rest).substr(at, end - at));
      if (!record) continue;
      segment.last_sequence = std::max(segment.last_sequence, record->sequence);
      last_records_[std::string(record->instance_id)] = {number, begin + static_cast<int64_t>(at)};
    }
    rest.erase(0, at);
  }
  next_number_ = std::max(next_number_, number + 1);
  next_sequence_ = std::max(next_sequence_, segment.last_sequence + 1);
  if (segment.last_sequence == 0) {
    segments_.remove(number);
    return;
  }
  bytes_ += segment.bytes;
  all_.push_back(segment);
}

std::optional<link::LogLine> LogSpool::take_last_line(const std::string& instance_id) {
  const auto found = last_records_.extract(instance_id);
  if (found.empty()) return std::nullopt;
  const auto [number, offset] = found.mapped();
  const Result<std::string> read = segments_.read(number, offset, kSegmentBytesMax);
  if (!read) return std::nullopt;
  const auto record = read_record(std::string_view(*read).substr(0, read->find('\n')));
  if (!record) return std::nullopt;
  Result<link::LogBatch> batch = from_json_text<link::LogBatch>(record->batch);
  if (!batch || batch->lines.empty()) return std::nullopt;
  return std::move(batch->lines.back());
}

void LogSpool::append(link::LogBatch batch) {
  write_losses();
  if (const Result<> written = write(batch, std::ssize(batch.lines)); !written) {
    lose(batch, std::ssize(batch.lines), written.error().message);
    if (!std::exchange(warned_, true)) {
      log_warning("agent", "lines of instances cannot be kept; they are counted",
                  {{"error", written.error().message}});
    }
  }
  make_room();
}

Result<> LogSpool::write(link::LogBatch& batch, int64_t lines) {
  batch.sequence = next_sequence_;
  const std::string record =
      fmt::format("{} {} {} {}\n", batch.sequence, lines, batch.instance_id, to_json_text(batch));
  if (closed_ || all_.back().bytes + record.size() > segment_bytes_) {
    all_.push_back({.number = next_number_++});
    closed_ = false;
  }
  Segment& segment = all_.back();
  const Result<> written = segments_.append(segment.number, record);
  if (!written) {
    // A part of it may be there: nothing is written behind it.
    closed_ = true;
    if (segment.bytes == 0) {
      segments_.remove(segment.number);
      all_.pop_back();
    }
    return written;
  }
  ++next_sequence_;
  segment.bytes += record.size();
  segment.last_sequence = batch.sequence;
  bytes_ += record.size();
  return {};
}

void LogSpool::lose(const link::LogBatch& batch, int64_t lines, std::string reason) {
  lost_ += lines;
  Loss& loss = losses_[batch.instance_id];
  if (loss.lines == 0) {
    loss.source = {
        .group_id = batch.group_id, .instance_id = batch.instance_id, .version = batch.version};
    loss.time = batch.lines.empty() ? 0 : batch.lines.front().time;
    loss.reason = std::move(reason);
  }
  loss.lines += lines;
}

void LogSpool::write_losses() {
  while (!losses_.empty()) {
    const Loss& loss = losses_.begin()->second;
    link::LogBatch batch = loss.source;
    batch.lines.push_back(
        {.time = loss.time,
         .stream = "stderr",
         .text = fmt::format("mesclun: {} lines are missing here: {}", loss.lines, loss.reason)});
    if (!write(batch, -loss.lines)) return;
    warned_ = false;
    losses_.erase(losses_.begin());
  }
}

void LogSpool::make_room() {
  while (bytes_ > bytes_max_ && !all_.empty()) drop_oldest();
  // Beside what was dropped this is nothing.
  write_losses();
}

void LogSpool::drop_oldest() {
  const Segment oldest = all_.front();
  const Result<std::string> text = segments_.read(oldest.number, 0, oldest.bytes);
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const auto record = read_record(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!record || record->sequence <= acknowledged_) continue;
    // A line that said so is told of again, with what it told of.
    const int64_t lines = std::abs(record->lines);
    if (record->lines < 0) lost_ -= lines;
    const auto known = losses_.find(std::string(record->instance_id));
    if (known != losses_.end()) {
      known->second.lines += lines;
      lost_ += lines;
      continue;
    }
    const Result<link::LogBatch> batch = from_json_text<link::LogBatch>(record->batch);
    if (batch) lose(*batch, lines, "the cloud was away, and this machine keeps no more");
  }
  remove_first();
}

void LogSpool::remove_first() {
  const Segment first = all_.front();
  segments_.remove(first.number);
  bytes_ -= first.bytes;
  all_.pop_front();
  if (all_.empty()) closed_ = true;
}

void LogSpool::begin(std::optional<int64_t> stored) {
  acknowledges_ = stored.has_value();
  if (stored) {
    acknowledge(*stored);
    // What the cloud has forgotten since is not here either.
    acknowledged_ = *stored;
    next_sequence_ = std::max(next_sequence_, *stored + 1);
  }
  rewind();
}

void LogSpool::acknowledge(int64_t sequence) {
  acknowledged_ = std::max(acknowledged_, sequence);
  if (sequence >= said_) said_bytes_ = 0;
  while (!all_.empty() && all_.front().last_sequence <= acknowledged_) {
    const bool written_on = all_.size() == 1 && !closed_;
    if (written_on && all_.front().bytes <= kKeptBytesMax) break;
    remove_first();
  }
}

void LogSpool::rewind() {
  said_ = acknowledged_;
  said_bytes_ = 0;
  at_number_ = 0;
  at_offset_ = 0;
  read_.clear();
  read_at_ = 0;
}

std::optional<std::string> LogSpool::next_line() {
  while (true) {
    const size_t end = read_.find('\n', read_at_);
    if (end != std::string::npos) {
      std::string line = read_.substr(read_at_, end - read_at_);
      read_at_ = end + 1;
      return line;
    }
    read_.erase(0, read_at_);
    read_at_ = 0;
    const auto here = std::ranges::find(all_, at_number_, &Segment::number);
    if (here != all_.end()) {
      Result<std::string> more = segments_.read(at_number_, at_offset_, kReadBytes);
      if (more && !more->empty()) {
        at_offset_ += static_cast<int64_t>(more->size());
        read_ += *more;
        continue;
      }
      if (here + 1 == all_.end() && !closed_) return std::nullopt;
    }
    // Of a segment that is gone, or whose end is half a record.
    read_.clear();
    const auto later = std::ranges::find_if(
        all_, [this](const Segment& segment) { return segment.number > at_number_; });
    if (later == all_.end()) return std::nullopt;
    at_number_ = later->number;
    at_offset_ = 0;
  }
}

std::optional<link::LogBatch> LogSpool::next() {
  while (auto line = next_line()) {
    const auto record = read_record(*line);
    if (!record || record->sequence <= said_) continue;
    Result<link::LogBatch> batch = from_json_text<link::LogBatch>(record->batch);
    if (!batch) continue;
    batch->sequence = record->sequence;
    batch->after = said_;
    said_ = record->sequence;
    said_bytes_ += line->size();
    if (!acknowledges_) acknowledge(said_);
    return *std::move(batch);
  }
  return std::nullopt;
}

size_t LogSpool::unsaid_bytes() const {
  size_t bytes = 0;
  for (const Segment& segment : all_) {
    if (segment.last_sequence <= said_) continue;
    bytes += segment.bytes;
    if (segment.number == at_number_) {
      bytes -= std::min(segment.bytes, static_cast<size_t>(at_offset_));
    }
  }
  return bytes + read_.size() - read_at_;
}

}  // namespace mesclun::agent
