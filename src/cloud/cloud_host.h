// A cloud as a process serves it: a data folder and two ports.
#pragma once

#include <boost/asio/io_context.hpp>

#include "base/real_clock.h"
#include "base/real_random.h"
#include "cloud/cloud.h"
#include "cloud/data_folder.h"

namespace mesclun {
class CommandLine;
}

namespace mesclun::cloud {

struct CloudHostSettings {
  std::string data = "mesclun-data";
  Endpoint api{.host = "127.0.0.1", .port = 8800};
  Endpoint nodes{.host = "127.0.0.1", .port = 8802};
  CloudSettings cloud;
};

// The flags that `mesclun cloud` and `mesclun up` share.
void add_cloud_settings(CommandLine& line, CloudHostSettings& settings);

// Runs on: the loop of `executor`. stop() before its end.
class CloudHost {
 public:
  // Takes the folder, opens the databases, binds the ports. Errors say what to do.
  static Task<Result<std::unique_ptr<CloudHost>>> start(asio::any_io_executor executor,
                                                        CloudHostSettings settings);
  // With the ports that the system chose, where asked to.
  const Endpoint& api() const { return api_; }
  const Endpoint& nodes() const { return nodes_; }
  const Secrets& secrets() const { return secrets_; }
  Cloud& cloud() { return *cloud_; }
  // An organization, a project and a key for a first user; an existing one is taken as it is.
  struct FirstUser {
    std::string organization;
    std::string project;
    std::string api_key;
  };
  Task<Result<FirstUser>> first_user(std::string organization, std::string project);
  Task<void> stop() { return cloud_->stop(); }

 private:
  explicit CloudHost(FolderLock lock) : lock_(std::move(lock)) {}
  Task<Result<>> ensure_operator();

  FolderLock lock_;
  std::string folder_;
  Endpoint api_;
  Endpoint nodes_;
  Secrets secrets_;
  RealClock clock_;
  RealRandom random_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<store::Database> log_database_;
  std::unique_ptr<Cloud> cloud_;
};

}  // namespace mesclun::cloud
