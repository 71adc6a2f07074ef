// What an instance must have before it serves: what was measured against what is required, and
// what follows. Plain functions; check_runner.h does the measuring.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "companion/config.h"

namespace mesclun::companion {

enum class CheckUnit { Mbps, Milliseconds, Bytes, Celsius, CudaVersion, Seconds, WorkPerSecond };

// CUDA 12.8 as one number that compares: 12008.
double cuda_as_number(int major, int minor);

// One thing that is measured. Unknown is not bad: it gives a warning, never a miss.
struct CheckItem {
  std::string key;   // stable: "bucket_upload"
  std::string name;  // for people: "upload to bucket b"
  CheckUnit unit = CheckUnit::Mbps;
  bool at_least = true;  // else at most
  double required = 0;   // 0: recorded only
  std::optional<double> measured;
  std::string unknown_why = "not measured";

  bool missed() const;
  bool unknown() const { return !measured; }
  // Takes over a newer reading: the better one counts, and a reading that failed changes nothing
  // about a known one.
  void improve(std::optional<double> reading, std::string why);
  // "upload to bucket b: 3.2 Mbps, 10 Mbps required".
  std::string sentence() const;
};

// Everything that `config` asks for, nothing measured yet. The warm-up is not among it.
std::vector<CheckItem> planned_checks(const ChecksConfig& config);

// What follows a miss depends on these.
struct CheckSituation {
  int attempts_done = 0;  // this one included
  bool retry_allowed = true;
  std::optional<int> nodes_left;  // other nodes that this group may still try
  bool is_local = false;          // no platform that could move the instance
};

enum class CheckStep {
  Serve,
  Retry,       // measure again what missed, after the pause
  Warn,        // serve although something missed
  Reallocate,  //
  Exit,        // with status 1
};

struct CheckVerdict {
  CheckStep step = CheckStep::Serve;
  std::vector<std::string> misses;    // sentences
  std::vector<std::string> warnings;  // what is unknown, and why a miss is tolerated
  std::string reason;                 // for the platform and the log; empty without a miss
  std::string skipped;                // why nothing was measured; empty: it was
};

CheckVerdict judge_checks(const std::vector<CheckItem>& items, const ChecksConfig& config,
                          const CheckSituation& situation);

}  // namespace mesclun::companion
