// The log of a container, cut into pieces by the input's first byte: what is taken is the same however
// it is cut, and no line is longer than the bound.
#include <algorithm>

#include "runtime/docker/log_frames.h"
#include "runtime/process/run_files_log.h"

using namespace mesclun::runtime;

namespace {

std::deque<LogChunk> lines_of(std::string_view bytes, size_t step) {
  LogFrames frames;
  std::deque<LogChunk> lines;
  for (size_t at = 0; at < bytes.size(); at += step) {
    if (!frames.feed(bytes.substr(at, step), lines)) return lines;
  }
  frames.finish(lines);
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::deque<LogChunk> whole = lines_of(bytes, std::max<size_t>(bytes.size(), 1));
  const std::deque<LogChunk> cut = lines_of(bytes, std::max<size_t>(data[0], 1));
  const auto same = [](const LogChunk& a, const LogChunk& b) {
    return a.stream == b.stream && a.text == b.text && a.time == b.time;
  };
  if (!std::ranges::equal(whole, cut, same)) __builtin_trap();
  for (const LogChunk& line : whole) {
    if (line.text.size() > kLogLineBytesMax) __builtin_trap();
  }
  return 0;
}
