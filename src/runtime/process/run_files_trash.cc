#include "runtime/process/run_files_trash.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file_tree.h"
#include "base/log.h"
#include "runtime/process/run_files.h"

namespace mesclun::runtime {

Trash::Trash(std::string folder) : folder_(std::move(folder)), thread_([this] { work(); }) {}

Trash::~Trash() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Trash::move_in(const std::string& path) {
  std::string target;
  do {
    target = fmt::format("{}/{}", folder_, ++number_);
  } while (::access(target.c_str(), F_OK) == 0);
  if (::rename(path.c_str(), target.c_str()) != 0) {
    if (errno != ENOENT) {
      log_warning("driver", "cannot delete",
                  {{"path", path}, {"error", system_error("rename").message}});
    }
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    more_ = true;
  }
  changed_.notify_all();
}

void Trash::work() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!more_) {
      changed_.wait(lock);
      continue;
    }
    more_ = false;
    lock.unlock();
    for (const std::string& name : list_folder(folder_)) {
      const std::string path = fmt::format("{}/{}", folder_, name);
      if (!remove_tree(path, &stopping_) && !stopping_) {
        log_warning("driver", "cannot delete", {{"path", path}});
      }
    }
    lock.lock();
  }
}

}  // namespace mesclun::runtime
