#include "link/frame.h"

#include <fmt/format.h>

#include <algorithm>

namespace mesclun::link {

namespace {

constexpr size_t kHeadBytes = 4;
// Read at once; so a peer that announces much and sends little holds at most twice what it sent,
// and this.
constexpr size_t kPieceBytes = 16 * 1024;

size_t announced(const unsigned char* head) {
  return (size_t{head[0]} << 24) | (size_t{head[1]} << 16) | (size_t{head[2]} << 8) |
         size_t{head[3]};
}

Error too_long(size_t size, size_t bytes_max) {
  return Error::invalid(
      fmt::format("a frame of {} bytes is over the limit of {}", size, bytes_max));
}

}  // namespace

Result<std::string> encode_frame(const Message& message, size_t bytes_max) {
  std::string text = encode(message);
  if (text.size() > bytes_max) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("a message '{}' of {} bytes; a frame has at most {}",
                             message_name(message), text.size(), bytes_max)};
  }
  const auto size = static_cast<uint32_t>(text.size());
  const char head[kHeadBytes] = {static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                 static_cast<char>(size >> 8), static_cast<char>(size)};
  text.insert(0, head, kHeadBytes);
  return text;
}

Result<Message> parse_frame(std::string_view frame, size_t bytes_max) {
  if (frame.size() < kHeadBytes) return Error::invalid("a frame begins with its length");
  const size_t size = announced(reinterpret_cast<const unsigned char*>(frame.data()));
  if (size > bytes_max) return too_long(size, bytes_max);
  if (size != frame.size() - kHeadBytes) return Error::invalid("a frame of another length");
  return decode(frame.substr(kHeadBytes));
}

Task<Result<Message>> FrameReader::read(Conn& conn, size_t bytes_max) {
  CO_TRY_DO(co_await fill(conn, kHeadBytes));
  const size_t size = announced(reinterpret_cast<const unsigned char*>(frame_.data()));
  if (size > bytes_max) co_return too_long(size, bytes_max);
  CO_TRY_DO(co_await fill(conn, kHeadBytes + size));
  have_ = 0;
  const std::string frame = std::exchange(frame_, {});
  co_return decode(std::string_view(frame).substr(kHeadBytes));
}

Task<Result<>> FrameReader::fill(Conn& conn, size_t size) {
  while (have_ < size) {
    frame_.resize(std::min(size, have_ + kPieceBytes));
    CO_TRY(const size_t more, co_await conn.read_some(asio::buffer(frame_) + have_));
    if (more == 0) co_return Error::unavailable("the stream ended");
    have_ += more;
  }
  co_return Result<>();
}

}  // namespace mesclun::link
