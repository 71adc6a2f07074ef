// A whole agent on a real machine: data folder, driver, network. What `mesclun agent` and
// `mesclun up` run.
#pragma once

#include <filesystem>

#include "agent/agent_settings.h"
#include "base/socket_conn.h"
#include "link/messages.h"
#include "runtime/open_driver.h"

namespace mesclun::agent {

struct AgentOptions {
  Endpoint cloud{.host = "127.0.0.1", .port = 8802};
  std::string join_token;
  std::string join_token_file;  // read again before each session; empty: there is none
  std::filesystem::path data;
  link::NodeFacts facts;  // what the machine offers
  // Instances are processes of this machine with whatever rights the agent has, so a cloud on
  // another machine could run anything here.
  bool allow_remote_cloud = false;
  // Its folder is in `data`.
  runtime::DriverSettings driver{.kind = runtime::RuntimeKind::Auto};
  // Whether the log says what this machine lacks; the cloud is told in any case.
  bool log_warnings = true;
  AgentSettings settings;
};

// Runs until the caller is cancelled, then ends every instance within the grace. An agent that is
// killed instead leaves its instances running; the next one over the same folder adopts them.
// Errors: FailedPrecondition, another agent has the folder or the cloud is not on this machine;
//         Unavailable, the folder, the driver or the control socket cannot be used.
Task<Result<>> serve_agent(asio::any_io_executor executor, AgentOptions options);

}  // namespace mesclun::agent
