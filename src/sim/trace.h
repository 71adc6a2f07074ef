// What happened, as a number: two runs with the same seed must have the same.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace mesclun::sim {

// FNV-1a over (virtual time, text) of everything that was noted.
class Trace {
 public:
  explicit Trace(Clock& clock) : clock_(clock) {}

  void note(std::string_view text) {
    const int64_t time = clock_.now().time_since_epoch().count();
    for (int shift = 0; shift < 64; shift += 8) add(static_cast<uint8_t>(time >> shift));
    for (char c : text) add(static_cast<uint8_t>(c));
    ++events_;
  }
  uint64_t hash() const { return hash_; }
  uint64_t events() const { return events_; }

 private:
  void add(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }

  Clock& clock_;
  uint64_t hash_ = 0xcbf29ce484222325;
  uint64_t events_ = 0;
};

}  // namespace mesclun::sim
