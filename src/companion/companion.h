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
#include "companion/application_watch.h"
#include "companion/front_server.h"
#include "companion/metadata_client.h"
#include "companion/node_watch.h"

namespace mesclun::companion {

// Runs on: one io_context, on the main thread.
class Companion {
 public:
  Companion(const asio::any_io_executor& executor, Config config, std::vector<std::string> command);

  // The exit status of the process.
  Task<Result<int>> run();

  // SIGTERM and SIGINT: the orderly end; a second time without waiting for requests in flight.
  void told_to_stop(int signal) { endings_.told_to_stop(signal); }
  // Any other signal belongs to the application.
  void forward(int signal) { process_.signal(signal); }
  // Before either of these: the terminal sent it, to the application too if that is in front.
  void heard_from_terminal(int signal) { process_.heard_from_terminal(signal); }

 private:
  bool few_nodes_left() const;
  Result<> listen();
  Task<Result<>> prepare();
  bool start_application();
  Task<Result<>> wait_for_application();

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

  Endings endings_;
  ProcessTable table_;
  ProcessRunner runner_;
  ApplicationProcess process_;
  HealthJudge judge_;
  NodeWatch node_watch_;
  std::optional<ApplicationLink> link_;
  std::optional<Front> front_;
  std::optional<StatusPages> pages_;
  std::optional<ApplicationWatch> application_watch_;
  std::optional<FrontServer> server_;
  MetadataClient metadata_;
  Scope tasks_;
};

// Runs until the end; the exit status.
int run_companion(Config config, std::vector<std::string> command);

}  // namespace mesclun::companion
