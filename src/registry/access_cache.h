// Answers about the right to pull, kept while they are good for another pull. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "registry/pull_flow.h"

namespace mesclun::registry {

// A thousand nodes that start the same group ask the registry once, not a thousand times; also when
// it refuses.
//
// Bound: kEntriesMax; when it is full what ends first goes.
class AccessCache {
 public:
  using Answer = Result<PullAccess>;

  // Nothing: the registry is to be asked. What is handed out has half its life before it.
  std::optional<Answer> find(const std::string& key, TimePoint now) const;
  void keep(const std::string& key, const Answer& answer, TimePoint now);
  size_t size() const { return entries_.size(); }

  static constexpr size_t kEntriesMax = 4096;
  // A refusal is told again for so long, what may be a passing trouble for so short.
  static constexpr Duration kRefusalLife = 10s;
  static constexpr Duration kTroubleLife = 1s;

 private:
  struct Entry {
    Answer answer;
    TimePoint fresh_until;
    TimePoint end;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace mesclun::registry
