// The whole of `mesclun-app`: what happens from the start of the container to its end.
//
//   listen ─► checks ─► start the application ─► it answers ─► warm-up ─► serve ─► ending
//
// Every way out is an Ending; the first one counts, and is carried out in order by run().
#pragma once

#include <memory>
#include <optional>

#include "base/real_clock.h"
#include "base/real_random.h"
#include "companion/application_process.h"
#include "companion/check_runner.h"
#include "companion/front_server.h"
#include "companion/metadata_client.h"
#include "companion/performance_monitor.h"
#include "companion/process_table.h"
#include "companion/warmup.h"

namespace mesclun::companion {

struct Ending {
  enum class Kind {
    ApplicationEnded,  // by itself
    Told,              // by a signal
    Leave,             // ask for another node, then end with status 1
    Exit,              // end with exit_code
  };
  Kind kind = Kind::Exit;
  int exit_code = 1;
  int signal = 0;
  std::string reason;
};

// Runs on: one io_context, on the main thread.
class Companion final : private FrontObserver {
 public:
  Companion(const asio::any_io_executor& executor, Config config, std::vector<std::string> command);
  ~Companion() override;

  // The exit status of the process.
  Task<Result<int>> run();

  // SIGTERM and SIGINT: the orderly end; a second time without waiting for requests in flight.
  void told_to_stop(int signal);
  // Any other signal belongs to the application.
  void forward(int signal) { process_.signal(signal); }

 private:
  Result<> listen();
  void end(Ending ending);
  // `must_end`: merely reporting would leave an instance that never serves.
  void act(Action action, const std::string& reason, bool must_end);

  // companion_start.cc
  Task<Result<>> prepare();
  Task<Result<bool>> run_checks();
  Task<Result<bool>> start_application();
  Task<Result<bool>> wait_until_it_answers();
  Task<Result<bool>> run_warmup_requests();
  Task<Result<std::optional<double>>> warmup_request();
  bool follow(const CheckVerdict& verdict);
  Task<Result<>> wait_for_application();

  // companion_watch.cc
  Task<Result<>> check_application();
  Task<Result<>> check_loop();
  Task<Result<>> health_loop();
  Task<Result<>> monitor_loop();
  Task<Result<>> gpu_loop();
  Task<Result<>> summary_loop();
  void follow(const MonitorDecision& decision);
  void finished(TimePoint began, TimePoint ended, double work) override;
  MonitorStatus monitor_status() const;
  bool few_nodes_left() const;

  // The ways to end.
  Task<int> carry_out(Ending ending);
  Task<void> wait_for_answers(Duration limit);
  Task<void> leave_node(std::string reason);

  asio::any_io_executor executor_;
  const Config config_;
  const std::vector<std::string> command_;
  RealClock clock_;
  RealRandom random_;
  ProcessCheckEnvironment environment_;
  const bool is_local_;

  ProcessTable table_;
  ProcessRunner runner_;
  ApplicationProcess process_;
  HealthJudge judge_;
  std::optional<ApplicationLink> link_;
  std::optional<Front> front_;
  std::optional<PerformanceMonitor> monitor_;  // once it serves, if monitor.work is given
  std::optional<double> last_rate_;
  std::optional<StatusPages> pages_;
  std::optional<FrontServer> server_;
  std::optional<Listener> metrics_listener_;
  MetadataClient metadata_;

  std::optional<Ending> ending_;
  bool hurry_ = false;
  std::optional<ProcessEnd> application_end_;
  Notify changed_;  // ending_, hurry_ or application_end_
  Scope tasks_;
};

// Runs until the end; the exit status.
int run_companion(Config config, std::vector<std::string> command);

}  // namespace mesclun::companion
