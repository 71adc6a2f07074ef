// The log of a container as the engine sends it, with its times asked for: frames of one byte that
// names the stream, three zeros, a length of 32 bits with the highest first, and so many bytes:
// "2026-11-28T10:00:00.123456789Z text\n". A long line comes in several frames, of which only the
// last ends with a line break and each begins with a time.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <string_view>

#include "runtime/driver.h"

namespace mesclun::runtime {

// Puts lines together. What they are read from may be cut anywhere.
//
// Bounds: a line holds at most kLogLineBytesMax bytes and is cut there; a frame may be as long as
//         its 32 bits say, and is never held whole.
class LogFrames {
 public:
  // InvalidArgument: this is no such stream; nothing that follows can be trusted.
  Result<> feed(std::string_view bytes, std::deque<LogChunk>& out);
  // The lines that have no end yet.
  void finish(std::deque<LogChunk>& out);

 private:
  struct Stream {
    std::string text;  // of a line that is not complete
    int64_t time = 0;
    bool open = false;
  };

  Result<> take_time(std::string_view& bytes);
  void take_text(std::string_view bytes, bool ends, std::deque<LogChunk>& out);
  void end_line(Stream& stream, std::deque<LogChunk>& out);

  std::array<Stream, 2> streams_;  // stdout, stderr
  std::string head_;               // of a frame: what there is of its eight bytes
  std::string time_;               // what there is of its time
  bool in_time_ = false;
  size_t which_ = 0;   // stream of the frame
  uint32_t left_ = 0;  // bytes of the frame to come
};

}  // namespace mesclun::runtime
