// Many seeds, one after the other on each core.
#pragma once

#include <functional>
#include <optional>

#include "sim/simulation.h"

namespace mesclun::sim {

struct SeedRange {
  uint64_t first = 1;
  uint64_t last = 1;
};

// "1..1000". InvalidArgument.
Result<SeedRange> parse_seeds(std::string_view text);

struct FailedSeed {
  uint64_t seed = 0;
  std::vector<std::string> violations;  // never empty; how the process ended if it told nothing
};

struct SweepResult {
  uint64_t passed = 0;
  uint64_t checks = 0;
  // The first failure in time: with several cores an earlier seed may still have been at work.
  std::optional<FailedSeed> failed;
};

// Each seed has a process of its own, so that one that aborts is a failed seed like any other.
//
// Runs on: the caller's thread; no other thread may exist.
// Ends:    after the last seed, or at the first failure: seeds that are at work then are given up.
// Errors:  Unavailable, no process can be made.
Result<SweepResult> sweep(SeedRange seeds, size_t jobs, std::function<SimResult(uint64_t seed)> run,
                          std::function<void(uint64_t done)> progress);

}  // namespace mesclun::sim
