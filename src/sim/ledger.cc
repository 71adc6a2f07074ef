#include "sim/ledger.h"

#include <utility>

namespace mesclun::sim {

namespace {

// Of a reallocation (imds.md §5).
constexpr Duration kAway = 48h;
// A command nobody waits for any more: a turn before it, with a slow commit, and its own.
constexpr Duration kCarriedOutMax = 2min;

}  // namespace

Ledger::Wanted Ledger::wanted_of(const cloud::Group& group) {
  return {.name = group.spec.name,
          .spec = to_json_text(group.spec),
          .version = group.version,
          .started = group.started,
          .deleted = group.delete_time != 0};
}

void Ledger::answered(const Result<>& answer, const cloud::Fleet* fleet) {
  asking_ = false;
  const auto leaving = std::exchange(leaving_, std::nullopt);
  const bool cancelled = !answer && answer.code() == ErrorCode::Cancelled;
  const bool refused = !answer && !cancelled && answer.code() != ErrorCode::Unavailable;
  if (cancelled) asked_until_ = clock_.now() + kCarriedOutMax;
  if (!refused) wanted_.reset();
  if (!answer) return;
  // Known to be stored, even if the cloud is gone since.
  if (leaving) away_[leaving->place] = leaving->since + kAway;
  if (fleet == nullptr) return;
  wanted_.emplace();
  for (const auto& [id, group] : fleet->groups.all()) wanted_->emplace(id, wanted_of(group));
}

void Ledger::check(const cloud::Fleet& fleet) {
  if (asking() || !wanted_) return;
  for (const auto& [id, wanted] : *wanted_) {
    if (!told_.contains(id)) check_group(fleet, id, wanted);
  }
}

void Ledger::check_group(const cloud::Fleet& fleet, const std::string& id, const Wanted& wanted) {
  const auto broken = [&](std::string_view what) {
    told_.insert(id);
    violations_.add(
        fmt::format("group {}: what was acknowledged is not so: {}", wanted.name, what));
  };
  const cloud::Group* group = fleet.groups.find(id);
  if (group == nullptr) {
    if (!wanted.deleted) broken("it is not there");
    return;
  }
  const Wanted now = wanted_of(*group);
  if (wanted.deleted) {
    // What it was is forgotten with its last instance.
    if (!now.deleted) broken("it was deleted");
    return;
  }
  const bool finished =
      group->status == api::GroupStatus::Succeeded || group->status == api::GroupStatus::Failed;
  if (now.deleted) broken("it was not deleted");
  if (now.version != wanted.version) {
    broken(fmt::format("version {} instead of {}", now.version, wanted.version));
  } else if (now.spec != wanted.spec) {
    broken("another specification");
  }
  if (wanted.started && !now.started && !finished) broken("it was started");
  if (!wanted.started && now.started) broken("it was not started");
}

bool Ledger::sent_away(const std::string& group_id, const std::string& node_id) const {
  const auto found = away_.find({group_id, node_id});
  return found != away_.end() && clock_.wall_now() < found->second;
}

}  // namespace mesclun::sim
