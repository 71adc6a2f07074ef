// The agent's end of the socket at which a container's first process asks what to run.
//
// A connection of the starter gets the numbers `bytes`, `arguments` and `variables`, 32 bits each in
// the machine's order, then so many texts, each ended by a zero, `bytes` in all. It answers '+' once
// the program runs, or '-' and what the system said.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/socket_conn.h"

namespace mesclun::runtime {

// Beyond it a container is not started. The kernel's own bound for arguments and environment is a
// quarter of that.
inline constexpr size_t kOrdersBytesMax = 8 * 1024 * 1024;

struct StartOrders {
  std::vector<std::string> command;                // program and arguments; looked up in PATH
  std::map<std::string, std::string> environment;  // over what the image has
};

// OutOfRange: more than kOrdersBytesMax.
Result<std::string> write_orders(const StartOrders& orders);

// What became of a start. Nothing: the program runs.
struct StartAnswer {
  std::string trouble;
};

// Runs on: one loop.
class StarterDoor {
 public:
  // A folder that is mounted into the container. A socket that an earlier agent left there is
  // replaced.
  static Result<StarterDoor> open(const asio::any_io_executor& executor, std::string folder);
  StarterDoor(StarterDoor&& other) noexcept = default;
  StarterDoor& operator=(StarterDoor&& other) noexcept = default;
  ~StarterDoor();

  // Waits for the starter and gives it its orders. Afterwards nobody can ask any more: what runs in
  // the container could, too.
  Task<Result<StartAnswer>> serve(StartOrders orders, Clock& clock, Duration limit);
  void close();

 private:
  StarterDoor(std::unique_ptr<Listener> listener, std::string path)
      : listener_(std::move(listener)), path_(std::move(path)) {}

  std::unique_ptr<Listener> listener_;
  std::string path_;
};

}  // namespace mesclun::runtime
