// The wire form of a tunnel: frames of a u24 length, a u8 type, a u32 stream and a payload, all
// big-endian. Pure: bytes in, frames out, and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mesclun::link {

enum class FrameType : uint8_t {
  Open = 1,    // opener to acceptor: "INSTANCE_ID PORT"
  Opened = 2,  // the application took the connection; empty
  Data = 3,    // 1 to kFramePayloadMax bytes
  Window = 4,  // u32: that many more bytes may be sent
  Fin = 5,     // nothing more will come in this direction; empty
  Reset = 6,   // u8: a ResetCode; the stream is over in both directions
  Ping = 7,    // stream 0, empty; answered by a pong at once
  Pong = 8,    // stream 0, empty
};

enum class ResetCode : uint8_t {
  Refused = 1,      // nobody listens on the port
  Unreachable = 2,  // no such instance here, or no way to it
  Timeout = 3,      // the application did not take the connection in time
  Aborted = 4,      // broke in the middle
  Closed = 5,       // after a Fin: the sender reads no more either
  Unread = 6,  // the application had ended: it has taken nothing of what came since its last byte
};

// Where a stream should lead.
struct TunnelTarget {
  std::string instance_id;
  uint16_t port = 0;

  bool operator==(const TunnelTarget&) const = default;
};

struct Frame {
  FrameType type = FrameType::Ping;
  uint32_t stream = 0;
  std::string_view payload;  // into the bytes that were read
};

inline constexpr size_t kFrameHeadBytes = 8;
// A peer that sends slowly holds at most this much of our memory in an unfinished frame, and a
// stream waits for at most this much of another.
inline constexpr size_t kFramePayloadMax = 16 * 1024;
// What each side may send on a new stream before the first Window.
inline constexpr uint32_t kWindowInitial = 64 * 1024;

void append_frame(FrameType type, uint32_t stream, std::string_view payload, std::string& out);
void append_open(uint32_t stream, const TunnelTarget& target, std::string& out);
void append_window(uint32_t stream, uint32_t bytes, std::string& out);
void append_reset(uint32_t stream, ResetCode code, std::string& out);

// Takes the first frame off `bytes`; false if it has not arrived whole. InvalidArgument for an
// unknown type, a length that does not fit the type, or a stream where none belongs.
Result<bool> take_frame(std::string_view& bytes, Frame& frame);
// The payloads of frames that take_frame let through.
Result<TunnelTarget> read_open(std::string_view payload);
uint32_t read_window(std::string_view payload);
ResetCode read_reset(std::string_view payload);

}  // namespace mesclun::link
