// Randomness is handed in too: the kernel's, or a seeded one that replays.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>

namespace mesclun {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;

  // Uniform in [0, bound); bound > 0. The bias of the multiply is below 2^-32 for the bounds that
  // we use.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  void fill(std::span<uint8_t> bytes);
};

// The same seed gives the same numbers on every machine.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace mesclun
