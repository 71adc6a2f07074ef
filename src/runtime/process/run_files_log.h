// The lines of a run on disk: written by its shim, read by the agent, bounded.
//
// Lines are in files log.1, log.2, ... of at most `bytes_max` each; only the last two are kept. A
// line is "<unix ns> <o|e> <text>\n"; the text is what the application wrote, byte for byte. The first
// one of a file is "<unix ns> # <number of lines in the files before>\n".
#pragma once

#include <array>

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

// Longer lines are cut into several.
inline constexpr size_t kLogLineBytesMax = 10'000;

// The shim's side. Never waits and never fails: what the disk refuses is counted and told later.
class LogWriter {
 public:
  LogWriter(std::string folder, size_t bytes_max)
      : folder_(std::move(folder)), bytes_max_(bytes_max) {}

  // `bytes` as they came from stream 'o' or 'e' at `time`.
  void write(char stream, std::string_view bytes, int64_t time);
  // Ends the lines that have no end yet.
  void finish(int64_t time);

 private:
  void add_line(char stream, std::string_view text, int64_t time);
  void flush(int64_t time);
  bool open_next(int64_t time);

  std::string folder_;
  size_t bytes_max_;
  Descriptor file_;
  int64_t number_ = 0;
  size_t size_ = 0;    // of the current file
  int64_t lines_ = 0;  // in all files so far
  std::array<std::string, 2> partial_;
  std::string buffer_;
  size_t buffer_lines_ = 0;
  size_t lost_lines_ = 0;
  std::string lost_reason_;
};

// The agent's side. Remembers in log.read what was handed out, one call late: what a killed agent
// may not have passed on is handed out again.
class LogReader {
 public:
  explicit LogReader(std::string folder) : folder_(std::move(folder)) {}

  std::vector<LogChunk> read(size_t lines_max);

 private:
  struct Position {
    int64_t number = 1;
    int64_t offset = 0;
    int64_t lines = 0;  // before it, of all files
    bool operator==(const Position&) const = default;
  };

  void load_position();
  void save_position();
  // Lines of the current file from the current offset on.
  void read_lines(int file, size_t lines_max, std::vector<LogChunk>& out);
  bool take_line(std::string_view line, std::vector<LogChunk>& out);
  bool skip_lost(std::vector<LogChunk>& out);

  std::string folder_;
  bool loaded_ = false;
  Position at_;
  Position saved_;
};

}  // namespace mesclun::runtime
