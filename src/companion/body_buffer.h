// The bodies that are in memory, of callers' requests and of answers to them, bounded together.
#pragma once

#include <cstdint>

namespace mesclun::companion {

// Runs on: one loop. Outlives its shares.
class BodyBuffer {
 public:
  explicit BodyBuffer(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  bool has_room(uint64_t bytes) const { return bytes_ + bytes <= bytes_max_; }
  // Callers that read slowly must not take the room of those that come.
  bool answers_have_room() const { return bytes_ <= bytes_max_ / 2; }

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

    // For who asked answers_have_room() before it read.
    void take(uint64_t bytes) {
      buffer_.bytes_ += bytes;
      bytes_ += bytes;
    }
    void give_back(uint64_t bytes) {
      buffer_.bytes_ -= bytes;
      bytes_ -= bytes;
    }
    bool answers_have_room() const { return buffer_.answers_have_room(); }

   private:
    BodyBuffer& buffer_;
    uint64_t bytes_ = 0;
  };

 private:
  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;
};

}  // namespace mesclun::companion
