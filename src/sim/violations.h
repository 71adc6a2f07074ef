// What was found broken, for people.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace mesclun::sim {

// Keeps the first hundred; each goes to the log at once.
class Violations {
 public:
  explicit Violations(Clock& clock) : clock_(clock) {}

  void add(std::string text) {
    log_error("sim", text, {{"at_s", to_seconds(clock_.now().time_since_epoch())}});
    if (all_.size() >= kKept) return;
    all_.push_back(fmt::format("{}: {}", format_rfc3339(clock_.wall_now()), std::move(text)));
  }
  void add_all(std::vector<std::string> texts) {
    for (std::string& text : texts) add(std::move(text));
  }
  const std::vector<std::string>& all() const { return all_; }

 private:
  static constexpr size_t kKept = 100;

  Clock& clock_;
  std::vector<std::string> all_;
};

}  // namespace mesclun::sim
