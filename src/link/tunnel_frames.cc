#include "link/tunnel_frames.h"

#include <fmt/format.h>

#include "base/integer.h"

namespace mesclun::link {

namespace {

constexpr size_t kOpenBytesMax = 128;

void append_u32(uint32_t value, std::string& out) {
  const char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                         static_cast<char>(value >> 8), static_cast<char>(value)};
  out.append(bytes, sizeof bytes);
}

uint32_t read_u32(const char* at) {
  const auto byte = [at](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(at[i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}

struct Rule {
  size_t min;
  size_t max;
  bool on_stream;
};

// By type; index 0 is no frame.
constexpr Rule kRules[] = {{1, 0, false}, {3, kOpenBytesMax, true},
                           {0, 0, true},  {1, kFramePayloadMax, true},
                           {4, 4, true},  {0, 0, true},
                           {1, 1, true},  {0, 0, false},
                           {0, 0, false}};

}  // namespace

void append_frame(FrameType type, uint32_t stream, std::string_view payload, std::string& out) {
  append_u32(static_cast<uint32_t>(payload.size()) << 8 | static_cast<uint32_t>(type), out);
  append_u32(stream, out);
  out.append(payload);
}

void append_open(uint32_t stream, const TunnelTarget& target, std::string& out) {
  append_frame(FrameType::Open, stream, fmt::format("{} {}", target.instance_id, target.port), out);
}

void append_window(uint32_t stream, uint32_t bytes, std::string& out) {
  append_u32(4u << 8 | static_cast<uint32_t>(FrameType::Window), out);
  append_u32(stream, out);
  append_u32(bytes, out);
}

void append_reset(uint32_t stream, ResetCode code, std::string& out) {
  const char byte = static_cast<char>(code);
  append_frame(FrameType::Reset, stream, std::string_view(&byte, 1), out);
}

Result<bool> take_frame(std::string_view& bytes, Frame& frame) {
  if (bytes.size() < kFrameHeadBytes) return false;
  const uint32_t first = read_u32(bytes.data());
  const size_t length = first >> 8;
  const size_t type = first & 0xff;
  if (type == 0 || type >= std::size(kRules)) {
    return Error::invalid(fmt::format("tunnel: no frame has type {}", type));
  }
  const Rule& rule = kRules[type];
  if (length < rule.min || length > rule.max) {
    return Error::invalid(fmt::format("tunnel: {} bytes in a frame of type {}", length, type));
  }
  frame.type = static_cast<FrameType>(type);
  frame.stream = read_u32(bytes.data() + 4);
  if ((frame.stream != 0) != rule.on_stream) {
    return Error::invalid(fmt::format("tunnel: type {} on stream {}", type, frame.stream));
  }
  if (bytes.size() < kFrameHeadBytes + length) return false;
  frame.payload = bytes.substr(kFrameHeadBytes, length);
  bytes.remove_prefix(kFrameHeadBytes + length);
  return true;
}

Result<TunnelTarget> read_open(std::string_view payload) {
  const Error bad = Error::invalid("tunnel: an open frame names an instance and a port");
  const size_t space = payload.find(' ');
  if (space == 0 || space == std::string_view::npos) return bad;
  TunnelTarget target{.instance_id = std::string(payload.substr(0, space))};
  target.port = parse_integer<uint16_t>(payload.substr(space + 1)).value_or(0);
  if (target.port == 0) return bad;
  return target;
}

uint32_t read_window(std::string_view payload) {
  return read_u32(payload.data());
}

ResetCode read_reset(std::string_view payload) {
  const auto code = static_cast<uint8_t>(payload[0]);
  // A code of a later version still means that the stream is over.
  constexpr auto kLast = static_cast<uint8_t>(ResetCode::Unread);
  return code >= 1 && code <= kLast ? static_cast<ResetCode>(code) : ResetCode::Aborted;
}

}  // namespace mesclun::link
