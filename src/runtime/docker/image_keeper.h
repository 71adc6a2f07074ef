// The images that this driver pulled: remembered in a file, removed when nobody needs them.
#pragma once

#include <functional>

#include "runtime/docker/docker_run.h"
#include "runtime/docker/image_cache.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

// Runs on:  the driver's loop.
// Promise:  only what it pulled itself is removed, by its name, as long as the engine has the same
//           image by it; nothing that a container uses, whosever it is. An image that was there before
//           is its owner's.
// Lifetime: the parts outlive run().
class ImageKeeper {
 public:
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    Engine& engine;
    const RunTable<DockerRun>& runs;
    std::string file;
    ImageCacheLimits limits;
    Duration period;  // between two looks
  };
  explicit ImageKeeper(Parts parts) : parts_(std::move(parts)), removed_(parts_.executor) {}

  // What an earlier driver over the same folder pulled. A file that cannot be read is said and left
  // behind: its images stay for good.
  void load();
  // Until cancelled.
  Task<Result<>> run();

  // As ContainerDriver::has_image and pull. What is asked for here is needed now.
  Task<Result<bool>> has(std::string image);
  Task<Result<>> pull(std::string image, RegistryAccess access,
                      std::function<void(double)> progress);
  // It is needed now; by runs whose groups say what becomes of it, if there are any.
  void note_use(std::string_view name);

 private:
  Task<Result<>> look();
  Task<Result<>> remove(std::string name);
  Task<Result<>> remove_now(PulledImage image);
  Task<Result<std::optional<json::value>>> look_for(std::string name);
  void note_pull(const std::string& name, const json::value& pulled, bool is_private);
  PulledImage* find(std::string_view name);
  // Whether a group of a run that uses it lets it stay; nothing: no run does.
  std::optional<bool> caching_of_runs(std::string_view name) const;
  void forget(std::string_view name);
  void save();

  const Parts parts_;
  std::vector<PulledImage> images_;
  TimePoint saved_{};
  std::string removing_;  // name; empty: none
  Notify removed_;
};

}  // namespace mesclun::runtime
