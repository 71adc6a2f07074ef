#include "runtime/docker/log_frames.h"

#include "base/clock.h"
#include "runtime/process/run_files_log.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kHeadBytes = 8;
constexpr size_t kTimeBytesMax = 40;
constexpr const char* kNames[] = {"stdout", "stderr"};

Error no_log(const char* what) {
  return Error::invalid(std::string("not the log of a container: ") + what);
}

uint32_t length_of(std::string_view head) {
  uint32_t length = 0;
  for (size_t i = 4; i < kHeadBytes; ++i) length = length << 8 | static_cast<uint8_t>(head[i]);
  return length;
}

}  // namespace

Result<> LogFrames::feed(std::string_view bytes, std::deque<LogChunk>& out) {
  while (!bytes.empty()) {
    if (left_ == 0) {
      const size_t more = std::min(kHeadBytes - head_.size(), bytes.size());
      head_.append(bytes.substr(0, more));
      bytes.remove_prefix(more);
      if (head_.size() < kHeadBytes) break;
      if (head_[0] != 1 && head_[0] != 2) return no_log("unknown stream");
      which_ = static_cast<size_t>(head_[0] - 1);
      left_ = length_of(head_);
      head_.clear();
      time_.clear();
      in_time_ = true;
      continue;
    }
    std::string_view part = bytes.substr(0, left_);
    bytes.remove_prefix(part.size());
    left_ -= static_cast<uint32_t>(part.size());
    if (in_time_) TRY_DO(take_time(part));
    if (!in_time_) take_text(part, left_ == 0, out);
  }
  return {};
}

Result<> LogFrames::take_time(std::string_view& bytes) {
  const size_t space = bytes.find(' ');
  const bool whole = space != std::string_view::npos;
  time_.append(bytes.substr(0, space));
  bytes.remove_prefix(whole ? space + 1 : bytes.size());
  if (time_.size() > kTimeBytesMax || (!whole && left_ == 0)) return no_log("no time");
  if (!whole) return {};
  in_time_ = false;
  Stream& stream = streams_[which_];
  if (stream.open) return {};
  TRY(const WallTime time, parse_rfc3339(time_));
  stream.time = to_unix_nanos(time);
  stream.open = true;
  return {};
}

// `ends`: nothing of the frame follows.
void LogFrames::take_text(std::string_view bytes, bool ends, std::deque<LogChunk>& out) {
  Stream& stream = streams_[which_];
  const bool ends_line = ends && bytes.ends_with('\n');
  if (ends_line) bytes.remove_suffix(1);
  while (stream.text.size() + bytes.size() > kLogLineBytesMax) {
    const size_t fits = kLogLineBytesMax - stream.text.size();
    stream.text.append(bytes.substr(0, fits));
    bytes.remove_prefix(fits);
    const int64_t time = stream.time;
    end_line(stream, out);
    stream.open = true;
    stream.time = time;
  }
  stream.text.append(bytes);
  if (ends_line) end_line(stream, out);
}

void LogFrames::end_line(Stream& stream, std::deque<LogChunk>& out) {
  const size_t which = static_cast<size_t>(&stream - streams_.data());
  out.push_back({.stream = kNames[which], .time = stream.time, .text = std::move(stream.text)});
  stream = {};
}

void LogFrames::finish(std::deque<LogChunk>& out) {
  for (Stream& stream : streams_) {
    if (stream.open && !stream.text.empty()) end_line(stream, out);
  }
}

}  // namespace mesclun::runtime
