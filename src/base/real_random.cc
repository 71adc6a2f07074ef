#include "base/real_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace mesclun {

uint64_t RealRandom::next() {
  if (used_ == pool_.size()) {
    // Up to 256 bytes come whole or not at all (getrandom(2)); only a signal before the pool is
    // ready interrupts.
    static_assert(sizeof pool_ <= 256);
    while (getrandom(pool_.data(), sizeof pool_, 0) != static_cast<ssize_t>(sizeof pool_)) {
      if (errno != EINTR) std::abort();
    }
    used_ = 0;
  }
  return std::exchange(pool_[used_++], 0);
}

}  // namespace mesclun
