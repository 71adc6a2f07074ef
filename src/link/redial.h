// When a peer that could not be reached, or was lost, is dialled again; what people are told then.
#pragma once

#include <optional>
#include <string>

#include "base/back_off.h"
#include "base/error.h"

namespace mesclun::link {

struct RedialSettings {
  Duration back_off_min = 200ms;
  Duration back_off_max = 10s;
  // After a refusal, which holds until a person changes something. Zero: no other wait than usual.
  Duration refused_wait{};
};

// Pure apart from the Random that is handed in.
//
//   dial ── let in: stands() ──► broke
//    ▲  └─ failed ─┐               │ after a second or more the tries are counted anew: a peer that
//    │             ▼               ▼ lets us in and drops us at once must not be dialled for ever as
//    └── wait ◄── after(error) ◄───┘ if it had just gone
class Redial {
 public:
  explicit Redial(RedialSettings settings)
      : settings_(settings), back_off_(settings.back_off_min, settings.back_off_max) {}

  void stands(TimePoint now);

  struct Step {
    Duration wait{};
    bool refused = false;
    bool news = false;  // not what went wrong the last time: worth a line in the log
  };
  Step after(const Error& error, TimePoint now, Random& random);

 private:
  const RedialSettings settings_;
  BackOff back_off_;
  std::optional<TimePoint> standing_since_;
  std::string said_;  // what went wrong the last time
};

}  // namespace mesclun::link
