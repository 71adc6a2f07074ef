// Does the initial checks of an instance: measures, judges, measures again what missed.
#pragma once

#include <optional>
#include <string>

#include "companion/command_runner.h"
#include "companion/gpu_query.h"
#include "companion/initial_checks.h"

namespace mesclun::companion {

// What the platform says about this instance through its environment.
class CheckEnvironment {
 public:
  virtual ~CheckEnvironment() = default;
  virtual std::string machine_id() const = 0;         // empty: not on the platform
  virtual std::optional<int> nodes_left() const = 0;  // other nodes for this group
};

// $SALAD_MACHINE_ID and $MESCLUN_NODES_LEFT.
class ProcessCheckEnvironment final : public CheckEnvironment {
 public:
  std::string machine_id() const override;
  std::optional<int> nodes_left() const override;
};

// Runs on:   one loop; one run() at a time. Everything by reference outlives it.
// Bounds:    each transfer and each connect test at most checks.timeout; so at most
//            attempts x (pause + timeout x targets), the bucket counting twice.
class CheckRunner {
 public:
  // `file_root` is where /proc and /sys are, for tests.
  CheckRunner(ChecksConfig config, Clock& clock, CommandRunner& commands,
              const CheckEnvironment& environment, std::string file_root = "")
      : config_(std::move(config)),
        clock_(clock),
        commands_(commands),
        environment_(environment),
        file_root_(std::move(file_root)) {}

  // The last verdict; its step is never Retry. Cancelled is the only error. Logs every result.
  Task<Result<CheckVerdict>> run();
  // What was measured, for metrics.
  const std::vector<CheckItem>& items() const { return items_; }

 private:
  std::optional<std::string> why_skipped(const std::string& machine_id,
                                         const std::string& fingerprint) const;
  // Items that are wanted now and have that key.
  CheckItem* wanted(std::string_view key);
  void record(std::string_view key, const Result<double>& value);
  Task<Result<>> measure();
  Task<Result<>> measure_transfers();
  Task<Result<>> measure_bucket_rates();
  Task<Result<>> measure_latencies();
  Task<Result<>> measure_gpu();
  void measure_machine();

  ChecksConfig config_;
  Clock& clock_;
  CommandRunner& commands_;
  const CheckEnvironment& environment_;
  std::string file_root_;
  std::vector<CheckItem> items_;
  int attempt_ = 0;
};

}  // namespace mesclun::companion
