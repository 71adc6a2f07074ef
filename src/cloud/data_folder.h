// The cloud's folder: one process at a time, its databases, and the secrets made at its first
// start.
#pragma once

#include <memory>

#include "base/random.h"
#include "store/database.h"

namespace mesclun::cloud {

// What a cloud shares with its agents, gateways and operator; each in a file of mode 0600.
struct Secrets {
  std::string join_token;     // join.token: agents
  std::string gateway_token;  // gateway.token: gateways
  std::string tunnel_secret;  // tunnel.secret: signs tunnel tickets
  std::string operator_key;   // operator.key: the operator API
};

// An exclusive hold on a folder, for as long as it lives.
class FolderLock {
 public:
  // Makes the folder if needed. FailedPrecondition: another process has it; Unavailable: cannot be
  // made or written; both name the folder and what to do.
  static Result<FolderLock> take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

Result<Secrets> load_or_make_secrets(const std::string& folder, Random& random);

// `text` with mode 0600, whole or not at all, also after a crash.
Result<> write_private_file(const std::string& path, const std::string& text);
Result<std::string> read_small_file(const std::string& path);

}  // namespace mesclun::cloud
