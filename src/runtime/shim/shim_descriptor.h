// Owns a file descriptor.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace mesclun::runtime {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }
  int release() { return std::exchange(value_, -1); }
  // Keeps errno, so that it can stand between a failed call and its message.
  void reset(int value = -1) {
    if (value_ >= 0) {
      const int kept = errno;
      ::close(value_);
      errno = kept;
    }
    value_ = value;
  }

 private:
  int value_ = -1;
};

}  // namespace mesclun::runtime
