// Counts the work in an answer that passes by.
#pragma once

#include <optional>
#include <string>

#include "companion/config.h"
#include "http/message.h"

namespace mesclun::companion {

// For a JSON pointer the answer is kept, up to 1 MiB; of an event stream (text/event-stream) the
// last 64 KiB, where the last event that has the field counts: servers of language models tell
// their tokens at the end.
class WorkMeter {
 public:
  explicit WorkMeter(const FieldSource& source) : source_(source) {}

  void begin(const HeaderList& headers);
  void feed(std::string_view piece);
  // The answer is complete.
  std::optional<double> finish() const;

 private:
  std::optional<double> find_in_events() const;

  const FieldSource& source_;
  HeaderList headers_;
  std::string kept_;
  bool events_ = false;
  bool too_large_ = false;
};

}  // namespace mesclun::companion
