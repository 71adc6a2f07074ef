#include "runtime/docker/log_frames.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "runtime/process/run_files_log.h"

namespace mesclun::runtime {
namespace {

constexpr const char* kTime = "2026-11-28T10:00:00.5Z ";

std::string frame(char stream, const std::string& text) {
  const std::string body = kTime + text;
  std::string out{stream, 0, 0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(body.size() >> shift & 0xff));
  }
  return out + body;
}

struct Heard {
  std::vector<std::string> lines;  // "stdout: text"
  Result<> result;
};
Heard hear(const std::string& bytes, size_t piece) {
  Heard heard;
  LogFrames frames;
  std::deque<LogChunk> chunks;
  for (size_t at = 0; at < bytes.size() && heard.result; at += piece) {
    heard.result = frames.feed(std::string_view(bytes).substr(at, piece), chunks);
  }
  frames.finish(chunks);
  for (const LogChunk& chunk : chunks) {
    heard.lines.push_back(chunk.stream + ": " + chunk.text);
    EXPECT_EQ(chunk.time, to_unix_nanos(*parse_rfc3339("2026-11-28T10:00:00.5Z")));
  }
  return heard;
}

TEST(LogFrames, LinesOfBothStreamsHoweverTheyAreCut) {
  const std::string bytes = frame(1, "one\n") + frame(2, "two\n") + frame(1, "\n") +
                            frame(1, "a long ") + frame(2, "between\n") + frame(1, "line\n") +
                            frame(1, "no end");
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Heard heard = hear(bytes, piece);
    EXPECT_TRUE(heard.result);
    EXPECT_EQ(heard.lines,
              (std::vector<std::string>{"stdout: one", "stderr: two", "stdout: ", "stderr: between",
                                        "stdout: a long line", "stdout: no end"}))
        << piece;
  }
}

TEST(LogFrames, ALongLineIsCutAndNothingOfItIsLost) {
  const std::string text(3 * kLogLineBytesMax + 7, 'x');
  const Heard heard = hear(frame(1, text + "\n"), 1000);
  ASSERT_EQ(heard.lines.size(), 4u);
  EXPECT_EQ(heard.lines[0], "stdout: " + text.substr(0, kLogLineBytesMax));
  EXPECT_EQ(heard.lines[3], "stdout: xxxxxxx");
}

TEST(LogFrames, AnythingElseIsRefused) {
  for (const std::string& bytes :
       {std::string("HTTP/1.1 200 OK\r\n"), std::string("\x03\0\0\0\0\0\0\x01x", 9),
        std::string("\x01\0\0\0\0\0\0\x03xyz", 11),
        std::string("\x01\0\0\0\0\0\0\x04when text", 17),
        std::string("\x01\0\0\0\0\0\1\0", 8) + std::string(256, 'x')}) {
    EXPECT_EQ(hear(bytes, 3).result.code(), ErrorCode::InvalidArgument);
  }
}

}  // namespace
}  // namespace mesclun::runtime
