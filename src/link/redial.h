// When a peer that could not be reached, or was lost, is dialled again; what people are told then.
#pragma once

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
//   dial ──── stands() ───► the tries are counted anew
//    ▲  └─ failed ─┐          │
//    │             ▼          ▼ broke
//    └── wait ◄── after(error)
class Redial {
 public:
  explicit Redial(RedialSettings settings)
      : settings_(settings), back_off_(settings.back_off_min, settings.back_off_max) {}

  void stands();

  struct Step {
    Duration wait{};
    bool refused = false;
    bool news = false;  // not what went wrong the last time: worth a line in the log
  };
  Step after(const Error& error, Random& random);

 private:
  const RedialSettings settings_;
  BackOff back_off_;
  std::string said_;  // what went wrong the last time
};

}  // namespace mesclun::link
