// Numbered files that grow at their end and are removed whole: what the log's spool lies in.
#pragma once

#include <map>
#include <memory>

#include "base/file.h"

namespace mesclun::agent {

// Runs on: the agent's loop; calls block for as long as the disk takes.
// Fails:   as files do (base/file.h). What was appended survives the end of the process, not a loss
//          of power; a failed append may leave a part of its bytes.
class LogSegments {
 public:
  virtual ~LogSegments() = default;
  // Their numbers, in order.
  virtual std::vector<int64_t> list() = 0;
  virtual Result<> append(int64_t number, std::string_view bytes) = 0;
  // At most `bytes_max` from `offset` on; empty at the end.
  virtual Result<std::string> read(int64_t number, int64_t offset, size_t bytes_max) = 0;
  virtual void remove(int64_t number) = 0;
};

// For tests and the simulator.
class MemoryLogSegments final : public LogSegments {
 public:
  std::vector<int64_t> list() override;
  Result<> append(int64_t number, std::string_view bytes) override;
  Result<std::string> read(int64_t number, int64_t offset, size_t bytes_max) override;
  void remove(int64_t number) override { segments_.erase(number); }

  // Appending fails from now on, half-way, as on a full disk.
  bool full = false;

 private:
  std::map<int64_t, std::string> segments_;
};

class FileLogSegments final : public LogSegments {
 public:
  // Makes the folder.
  static Result<std::unique_ptr<FileLogSegments>> open(std::string folder);

  std::vector<int64_t> list() override;
  Result<> append(int64_t number, std::string_view bytes) override;
  Result<std::string> read(int64_t number, int64_t offset, size_t bytes_max) override;
  void remove(int64_t number) override;

 private:
  explicit FileLogSegments(std::string folder) : folder_(std::move(folder)) {}
  std::string path(int64_t number) const;

  const std::string folder_;
  int64_t open_number_ = 0;  // of `file_`, which is appended to
  Descriptor file_;
};

}  // namespace mesclun::agent
