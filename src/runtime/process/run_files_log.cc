#include "runtime/process/run_files_log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/text.h"

namespace mesclun::runtime {

namespace {

std::string log_path(const std::string& folder, int64_t number) {
  return fmt::format("{}/log.{}", folder, number);
}

// One read of the agent; many times the longest line.
constexpr size_t kReadBytes = 256 * 1024;

// At most `length`, less what would cut a UTF-8 character in two.
size_t whole_characters(std::string_view bytes, size_t length) {
  size_t cut = length;
  for (size_t back = 0; back < 3 && cut > 0; ++back) {
    if ((static_cast<unsigned char>(bytes[cut]) & 0xc0) != 0x80) return cut;
    --cut;
  }
  return cut > 0 && (static_cast<unsigned char>(bytes[cut]) & 0xc0) != 0x80 ? cut : length;
}

}  // namespace

void LogWriter::write(char stream, std::string_view bytes, int64_t time) {
  std::string& partial = partial_[stream == 'o' ? 0 : 1];
  while (!bytes.empty()) {
    const size_t room = kLogLineBytesMax - partial.size();
    const size_t end = bytes.substr(0, room + 1).find('\n');
    if (end == std::string_view::npos && bytes.size() <= room) {
      partial.append(bytes);
      break;
    }
    const size_t taken = end == std::string_view::npos ? whole_characters(bytes, room) : end;
    partial.append(bytes.substr(0, taken));
    bytes.remove_prefix(end == std::string_view::npos ? taken : taken + 1);
    if (end != std::string_view::npos && partial.ends_with('\r')) partial.pop_back();
    add_line(stream, partial, time);
    partial.clear();
  }
  flush(time);
}

void LogWriter::finish(int64_t time) {
  for (const char stream : {'o', 'e'}) {
    std::string& partial = partial_[stream == 'o' ? 0 : 1];
    if (!partial.empty()) add_line(stream, partial, time);
    partial.clear();
  }
  flush(time);
}

void LogWriter::add_line(char stream, std::string_view text, int64_t time) {
  fmt::format_to(std::back_inserter(buffer_), "{} {} ", time, stream);
  buffer_.append(text).append("\n");
  ++buffer_lines_;
}

void LogWriter::flush(int64_t time) {
  if (buffer_lines_ == 0) return;
  if (lost_lines_ > 0) {
    ++buffer_lines_;
    buffer_ = fmt::format("{} e mesclun: {} lines are missing here: {}\n", time, lost_lines_,
                          lost_reason_) +
              buffer_;
  }
  const bool fits = file_ && (size_ == 0 || size_ + buffer_.size() <= bytes_max_);
  bool written = fits || open_next(time);
  size_t done = 0;
  while (written && done < buffer_.size()) {
    const ssize_t n = ::write(file_.get(), buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (n > 0) done += static_cast<size_t>(n);
  }
  if (written) {
    size_ += buffer_.size();
    lines_ += static_cast<int64_t>(buffer_lines_);
    lost_lines_ = 0;
  } else {
    lost_reason_ = std::strerror(errno);
    // Without the one that tells of those before.
    lost_lines_ += buffer_lines_ - (lost_lines_ > 0 ? 1 : 0);
    // Half a line must not run into the next one.
    if (file_ && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) file_.reset();
  }
  buffer_.clear();
  buffer_lines_ = 0;
}

bool LogWriter::open_next(int64_t time) {
  // First make room: the disk may be full.
  if (number_ >= 2) ::unlink(log_path(folder_, number_ - 1).c_str());
  Descriptor next(::open(log_path(folder_, number_ + 1).c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!next) return false;
  file_ = std::move(next);
  ++number_;
  const std::string head = fmt::format("{} # {}\n", time, lines_);
  const bool written =
      ::write(file_.get(), head.data(), head.size()) == static_cast<ssize_t>(head.size());
  size_ = written ? head.size() : 0;
  return written || ::ftruncate(file_.get(), 0) == 0;
}

std::vector<LogChunk> LogReader::read(size_t lines_max) {
  load_position();
  save_position();
  std::vector<LogChunk> out;
  while (out.size() < lines_max) {
    // Asked before reading: the writer never comes back to a file after it began the next.
    const bool is_last = ::access(log_path(folder_, at_.number + 1).c_str(), F_OK) != 0;
    const Descriptor file(::open(log_path(folder_, at_.number).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
      if (errno != ENOENT || !skip_lost(out)) break;
      continue;
    }
    const size_t before = out.size();
    read_lines(file.get(), lines_max, out);
    if (out.size() > before) continue;
    if (is_last) break;
    at_ = {.number = at_.number + 1, .offset = 0, .lines = at_.lines};
  }
  return out;
}

void LogReader::read_lines(int file, size_t lines_max, std::vector<LogChunk>& out) {
  struct stat status{};
  if (::fstat(file, &status) != 0 || status.st_size <= at_.offset) return;
  std::string buffer(std::min<size_t>(kReadBytes, static_cast<size_t>(status.st_size - at_.offset)),
                     '\0');
  const ssize_t n = ::pread(file, buffer.data(), buffer.size(), at_.offset);
  std::string_view rest(buffer.data(), n > 0 ? static_cast<size_t>(n) : 0);
  while (out.size() < lines_max) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    at_.offset += static_cast<int64_t>(end + 1);
    if (take_line(line, out)) ++at_.lines;
  }
}

// False: it is none of the application's.
bool LogReader::take_line(std::string_view line, std::vector<LogChunk>& out) {
  LogChunk chunk;
  const auto [text, error] = std::from_chars(line.data(), line.data() + line.size(), chunk.time);
  const std::string_view tail(text, static_cast<size_t>(line.data() + line.size() - text));
  if (error != std::errc() || tail.size() < 3) return false;
  if (tail[1] == '#') {
    int64_t before = 0;
    const std::string_view number = tail.substr(3);
    const auto read = std::from_chars(number.data(), number.data() + number.size(), before);
    if (read.ec == std::errc()) at_.lines = before;
    return false;
  }
  chunk.stream = tail[1] == 'o' ? "stdout" : "stderr";
  chunk.text = valid_utf8(tail.substr(3));
  out.push_back(std::move(chunk));
  return true;
}

bool LogReader::skip_lost(std::vector<LogChunk>& out) {
  int64_t oldest = 0;
  for (const std::string& name : list_folder(folder_)) {
    if (!name.starts_with("log.")) continue;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (number > at_.number && (oldest == 0 || number < oldest)) oldest = number;
  }
  if (oldest == 0) return false;
  const int64_t handed_out = at_.lines;
  at_ = {.number = oldest, .offset = 0, .lines = handed_out};
  // With the time of the first line that is left. Its file's head says how many were before.
  std::vector<LogChunk> next;
  const Descriptor file(::open(log_path(folder_, oldest).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return true;
  read_lines(file.get(), 1, next);
  const int64_t missing = at_.lines - std::ssize(next) - handed_out;
  at_.offset = 0;
  at_.lines -= std::ssize(next);
  const std::string how_many = missing > 0 ? fmt::format("{} ", missing) : "";
  out.push_back({.stream = "stderr",
                 .time = next.empty() ? 0 : next[0].time,
                 .text = fmt::format("mesclun: {}lines are missing here: written faster than they "
                                     "were collected",
                                     how_many)});
  return true;
}

void LogReader::load_position() {
  if (std::exchange(loaded_, true)) return;
  const Result<std::string> text = read_file(folder_ + "/log.read");
  if (!text) return;
  // An older agent kept no number of lines.
  if (std::sscanf(text->c_str(), "%ld %ld %ld", &at_.number, &at_.offset, &at_.lines) < 2) at_ = {};
  saved_ = at_;
}

void LogReader::save_position() {
  if (at_ == saved_) return;
  // In place and always as long: a killed agent leaves the old text or the new one.
  const std::string text = fmt::format("{:020} {:020} {:020}\n", at_.number, at_.offset, at_.lines);
  const Descriptor file(
      ::open((folder_ + "/log.read").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (file &&
      ::pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    saved_ = at_;
  }
}

}  // namespace mesclun::runtime
