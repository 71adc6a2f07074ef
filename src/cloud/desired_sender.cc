#include "cloud/desired_sender.h"

namespace mesclun::cloud {

void DesiredSender::knows(std::vector<link::SpecName> specs) {
  known_.insert(std::make_move_iterator(specs.begin()), std::make_move_iterator(specs.end()));
}

void DesiredSender::want(link::Desired desired, const FindSpec& find) {
  named_.clear();
  for (const link::Assignment& assignment : desired.assignments) {
    if (auto name = assignment.spec()) named_.insert(*std::move(name));
  }
  std::erase_if(lacking_, [this](const auto& entry) { return !named_.contains(entry.first); });
  for (const link::SpecName& name : named_) {
    if (known_.contains(name) || lacking_.contains(name)) continue;
    if (SpecMessage spec = find(name)) lacking_.emplace(name, std::move(spec));
  }
  std::vector<link::Desired> parts =
      link::in_parts(std::move(desired), &link::Desired::assignments);
  parts_.assign(std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
  changed_.notify_all();
}

Task<Result<>> DesiredSender::run() {
  while (true) {
    while (parts_.empty()) CO_TRY_DO(co_await changed_.wait());
    CO_TRY_DO(co_await session_.wait_for_room());
    CO_TRY_DO(say_next());
  }
}

Result<> DesiredSender::say_next() {
  if (!lacking_.empty()) {
    const auto spec = lacking_.extract(lacking_.begin());
    const Result<> sent = session_.send(*spec.mapped());
    // What fits no frame today will not tomorrow.
    known_.insert(spec.key());
    return sent || sent.code() == ErrorCode::OutOfRange ? Result<>() : sent;
  }
  const link::Message part = std::move(parts_.front());
  parts_.pop_front();
  // With the last part the node forgets what it does not name.
  if (parts_.empty()) std::erase_if(known_, [this](const auto& n) { return !named_.contains(n); });
  return session_.send(part);
}

}  // namespace mesclun::cloud
