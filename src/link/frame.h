// A message on a byte stream: a length of four bytes, big-endian, and that many bytes of JSON.
#pragma once

#include "base/conn.h"
#include "link/messages.h"

namespace mesclun::link {

// No frame is larger. What may be larger is said in parts (parts.h).
inline constexpr size_t kFrameBytesMax = 4 * 1024 * 1024;
// Of a peer that nobody knows yet: a Hello takes a few hundred bytes, and 100 for each GPU.
inline constexpr size_t kFirstFrameBytesMax = 64 * 1024;

// OutOfRange, naming the message, its size and the limit.
Result<std::string> encode_frame(const Message& message, size_t bytes_max = kFrameBytesMax);

// A whole frame; InvalidArgument as below.
Result<Message> parse_frame(std::string_view frame, size_t bytes_max);

// Memory is taken as bytes arrive, whatever length was announced.
//
// Runs on: one loop; one read at a time.
class FrameReader {
 public:
  // InvalidArgument: an announced length over `bytes_max`, or no message in the frame; Unavailable:
  // the end; else the connection's errors. Cancelled at any await, it leaves what came so far to the
  // next call.
  Task<Result<Message>> read(Conn& conn, size_t bytes_max);
  size_t bytes_held() const { return frame_.capacity(); }

 private:
  Task<Result<>> fill(Conn& conn, size_t size);

  std::string frame_;  // what has arrived of it, and room for a piece
  size_t have_ = 0;
};

}  // namespace mesclun::link
