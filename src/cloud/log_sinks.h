// Copies lines of containers to the sinks that their groups name.
#pragma once

#include <deque>

#include "base/back_off.h"
#include "base/scope.h"
#include "cloud/fleet.h"
#include "cloud/log_delivery.h"
#include "cloud/log_table.h"

namespace mesclun::cloud {

struct LogSinkSettings {
  // Sinks may be on this machine or in private networks. Otherwise only addresses that anybody can
  // reach are connected to: the cloud calls for its tenants, and must not open its own network to them.
  bool private_addresses = false;
  // Waiting for one sink, and for all; beyond, the sink's oldest lines are dropped and counted.
  size_t sink_lines_max = 10'000;
  size_t sink_bytes_max = 8 * 1024 * 1024;
  // Of the bounds of all sinks an organization may use a quarter: those of one that are away leave
  // room for the others'.
  size_t bytes_max = 256 * 1024 * 1024;
  size_t sinks_max = 1'000;  // with lines under way; lines of more are dropped
  // Of one delivery: lines, bytes, and how long it may take.
  size_t batch_lines = 1'000;
  size_t batch_bytes = 1024 * 1024;
  Duration call_max = 20s;
  Duration linger = 500ms;  // between two deliveries, so that lines go together
  Duration back_off_min = 1s;
  Duration back_off_max = 1min;
  Duration idle_max = 1min;  // then its connection is closed
};

// Each line is tried until the sink took it, at least once: one whose answer was lost comes again. A
// sink that is away loses its oldest lines, and is told how many when it is back.
//
// Runs on:  the cloud's loop. Nobody waits for it.
// Lifetime: all that the constructor gets outlives it; stop() before its end.
class LogSinks {
 public:
  LogSinks(const asio::any_io_executor& executor, Clock& clock, Random& random, const Fleet& fleet,
           LogSinkSettings settings);
  ~LogSinks();

  // Lines that are stored now.
  void take(const LogTable::Batches& batches);
  Task<void> stop() { return scope_.stop(); }

  size_t waiting_bytes() const { return bytes_; }
  int64_t dropped() const { return dropped_; }

 private:
  struct Sink;
  struct Load {
    size_t sinks = 0;
    size_t bytes = 0;
  };

  bool has_place(const std::string& organization_id) const;
  bool is_over(const Sink& sink) const;
  void add(Sink& sink, const OwnedLines& lines, const api::LogSink& config);
  void push(Sink& sink, std::string record);
  void grow(Sink& sink, size_t size);
  void drop_oldest(Sink& sink);
  std::optional<api::LogSink> config_of(const std::string& group_id) const;
  Task<Result<>> run(std::shared_ptr<Sink> sink);
  Task<Result<bool>> wait_for_lines(Sink& sink);
  Task<Result<>> deliver(Sink& sink, api::LogSink config, std::vector<std::string> records);
  Task<Result<ConnPtr>> connect(api::LogSink config);
  Task<Result<>> call(api::LogSink config, std::vector<std::string> records);
  void tell_trouble(Sink& sink, const Error& error) const;

  // Constant after construction.
  Clock& clock_;
  Random& random_;
  const Fleet& fleet_;
  const LogSinkSettings settings_;
  // The loop only.
  std::map<std::string, std::shared_ptr<Sink>> sinks_;  // by group
  std::map<std::string, Load> load_of_;                 // by organization
  size_t bytes_ = 0;
  int64_t dropped_ = 0;
  Scope scope_;
};

}  // namespace mesclun::cloud
