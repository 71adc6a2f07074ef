// The bodies of callers that are in memory, bounded together.
#pragma once

#include <cstdint>

namespace mesclun::companion {

// Runs on: one loop. Outlives its shares.
class BodyBuffer {
 public:
  explicit BodyBuffer(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  bool has_room(uint64_t bytes) const { return bytes_ + bytes <= bytes_max_; }

  // What one request has of it; given back at its end.
  class Share {
   public:
    explicit Share(BodyBuffer& buffer) : buffer_(buffer) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { buffer_.bytes_ -= bytes_; }

    // False: no room for so many bytes more.
    bool grow(uint64_t bytes) {
      if (!buffer_.has_room(bytes)) return false;
      buffer_.bytes_ += bytes;
      bytes_ += bytes;
      return true;
    }

   private:
    BodyBuffer& buffer_;
    uint64_t bytes_ = 0;
  };

 private:
  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;
};

}  // namespace mesclun::companion
