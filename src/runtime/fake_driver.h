// A driver without a machine, for tests and the simulator: runs are timers, applications a few
// numbers.
#pragma once

#include <deque>
#include <functional>
#include <set>

#include "base/random.h"
#include "base/scope.h"
#include "http/server.h"
#include "runtime/driver.h"

namespace mesclun::runtime {

// How one run behaves. Times count from the call of start(), unless said otherwise.
struct FakeRun {
  Duration create_time{};
  Duration start_time{};               // how long start() takes
  std::string create_error;            // not empty: create() fails with it
  bool bad_spec = false;               // ... and says that no machine could run it
  std::string start_failure;           // not empty: the program cannot be started
  std::optional<Duration> exit_after;  // from the end of start(); nothing: runs until it is stopped
  int32_t exit_code = 0;
  std::optional<Duration> overfills_after;  // likewise: then it has taken more disk than it may
  Duration ready_after{};                // from the end of start(): then it listens and probes pass
  std::optional<Duration> broken_after;  // then they fail again
  Duration stop_time{};                  // from SIGTERM to its end; longer than the grace: SIGKILL
  std::vector<std::string> output;       // written at its start
  // How long a command of exec() takes; nothing: no time.
  std::function<Duration(const std::vector<std::string>&)> exec_time;
};

// Runs on:  one loop. Deterministic for the same script and the same Random.
// Promise:  a start or a stop that was ordered comes about, whatever becomes of who ordered it.
// Lifetime: outlives the agents that use it, as containers do; stop() before destruction.
class FakeDriver : public ContainerDriver {
 public:
  // Decides for each run; called by create().
  using Script = std::function<FakeRun(const RunSpec&, Random&)>;

  FakeDriver(const asio::any_io_executor& executor, Clock& clock, Random& random,
             Script script = {});
  ~FakeDriver() override;

  // Ends the applications' connections and timers.
  Task<void> close() override;
  DriverFacts facts() const override { return facts_; }
  Task<Result<std::vector<RunInfo>>> list() override;
  Task<Result<>> check() override;
  Task<Result<>> create(RunSpec spec) override;
  Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) override;
  Task<Result<>> start(std::string instance_id) override;
  Task<Result<>> set_limits(std::string instance_id, RunLimits limits) override;
  Result<> set_image_caching(const std::string& instance_id, bool caching) override;
  Task<Result<RunExit>> wait(std::string instance_id) override;
  Task<Result<DiskExcess>> disk_excess(std::string instance_id) override;
  Task<Result<>> stop(std::string instance_id, Duration grace) override;
  Task<Result<>> remove(std::string instance_id) override;
  // GET anything answers 200 once ready; before that nobody listens.
  Task<Result<ConnPtr>> connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                Duration limit) override;
  // 0 once ready, else 1.
  Task<Result<int32_t>> exec(std::string instance_id, std::vector<std::string> command,
                             Duration limit) override;
  Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id, size_t lines_max) override;

  Task<Result<std::vector<RunUsage>>> usage() override;

  // ---- what tests and the simulator do to it ----
  void set_script(Script script) { script_ = std::move(script); }
  // set_limits() fails with it; empty: it works.
  void refuse_limits(std::string why) { limits_refused_ = std::move(why); }
  void set_facts(DriverFacts facts) { facts_ = std::move(facts); }
  // What check() finds; empty: nothing.
  void set_trouble(std::string trouble) { trouble_ = std::move(trouble); }
  // What usage() tells of it from now on.
  void set_usage(RunUsage usage) { usage_[usage.instance_id] = std::move(usage); }
  // The application's own HTTP answers, instead of 200.
  void set_application(
      std::function<HttpResponse(const std::string& instance_id, const HttpRequest&)> f) {
    application_ = std::move(f);
  }
  // Ends a live run from inside, as by itself.
  void exit_now(const std::string& instance_id, int32_t code);
  // It has taken more disk than it may.
  void overfill(const std::string& instance_id);
  // Readiness by hand, from now on.
  void set_healthy(const std::string& instance_id, bool healthy);
  void write_log(const std::string& instance_id, std::string stream, std::string text);
  // The machine restarts: every run is gone.
  void reboot();
  // Ids of runs whose application runs, in order of creation.
  std::vector<std::string> live() const;
  // Of a run that is known; also once it has ended.
  bool was_started(const std::string& instance_id) const;
  bool was_ready(const std::string& instance_id) const;
  const RunSpec* find_spec(const std::string& instance_id) const;
  size_t creates() const { return creates_; }
  size_t starts() const { return starts_; }
  size_t known() const { return runs_.size(); }

 private:
  struct Run {
    Run(const asio::any_io_executor& executor) : changed(executor) {}
    RunSpec spec;
    std::string files;  // the first run that had its writable files
    FakeRun behaviour;
    uint64_t number = 0;
    bool ordered = false;  // to start
    bool started = false;
    bool terminated = false;  // SIGTERM was sent
    TimePoint start_time{};
    int64_t start_wall = 0;
    std::optional<RunExit> exit;
    TimePoint exit_time{};
    std::optional<bool> healthy;
    bool overfull = false;
    std::deque<LogChunk> log;
    Notify changed;
  };
  using RunPtr = std::shared_ptr<Run>;

  Result<RunPtr> find(const std::string& instance_id) const;
  Result<std::string> take_files(const RunSpec& spec) const;
  bool answers(const Run& run) const;
  void end(Run& run, int32_t code, std::string detail);
  Task<Result<>> begin_later(RunPtr run);
  void begin(const RunPtr& run);
  Task<Result<>> overfill_later(RunPtr run, Duration after);
  Task<Result<>> exit_later(RunPtr run, Duration after, int32_t code, std::string detail);

  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  Script script_;
  DriverFacts facts_{.runtime = "fake", .watches_disk = true};
  std::string trouble_;
  std::function<HttpResponse(const std::string&, const HttpRequest&)> application_;
  std::string limits_refused_;
  std::map<std::string, RunPtr> runs_;
  std::map<std::string, RunUsage> usage_;
  uint64_t creates_ = 0;
  uint64_t starts_ = 0;
  Scope scope_;
};

}  // namespace mesclun::runtime
