#include "link/redial.h"

namespace mesclun::link {

namespace {

constexpr Duration kStood = 1s;

// The peer will say the same to the next try.
bool is_refusal(ErrorCode code) {
  switch (code) {
    case ErrorCode::Unauthenticated:
    case ErrorCode::PermissionDenied:
    case ErrorCode::InvalidArgument:
    case ErrorCode::FailedPrecondition:
    case ErrorCode::Unimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Redial::stands(TimePoint now) {
  standing_since_ = now;
  said_.clear();
}

Redial::Step Redial::after(const Error& error, TimePoint now, Random& random) {
  if (standing_since_ && now - *standing_since_ >= kStood) back_off_.reset();
  standing_since_.reset();
  Step step;
  step.refused = settings_.refused_wait != Duration{} && is_refusal(error.code);
  step.wait = step.refused ? settings_.refused_wait : back_off_.next(random);
  std::string said = to_string(error);
  step.news = said != said_;
  said_ = std::move(said);
  return step;
}

}  // namespace mesclun::link
