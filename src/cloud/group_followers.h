// Who waits for something new of one group.
#pragma once

#include <map>
#include <memory>

#include "base/notify.h"

namespace mesclun::cloud {

// Use: follow, look, and while nothing is there, wait. What came after follow() is not missed.
//
//   const auto follower = followers.follow(group_id);
//   while (true) {
//     look, perhaps for a while;
//     CO_TRY_DO(co_await follower->wait_until(clock, end));
//   }
//
// Runs on:  one loop.
// Cost:     news of a group wakes those who follow it; a group that nobody follows costs nothing.
// Lifetime: outlives its followers.
class GroupFollowers {
  struct Group {
    explicit Group(const asio::any_io_executor& executor) : changed(executor) {}
    Notify changed;
    uint64_t news = 0;
    size_t followers = 0;
  };
  using Groups = std::map<std::string, std::shared_ptr<Group>>;

 public:
  explicit GroupFollowers(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  class Follower {
   public:
    Follower(GroupFollowers& all, const std::string& group_id) : all_(all), group_id_(group_id) {
      std::shared_ptr<Group>& group = all.groups_[group_id];
      if (group == nullptr) group = std::make_shared<Group>(all.executor_);
      ++group->followers;
      group_ = group;
      seen_ = group->news;
    }
    ~Follower() {
      if (--group_->followers == 0) all_.groups_.erase(group_id_);
    }
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    // Until there are news since the last call, or since follow(); also ends at `when`.
    Task<Result<>> wait_until(Clock& clock, TimePoint when) {
      while (group_->news == seen_ && clock.now() < when) {
        ++all_.waits_;
        CO_TRY_DO(co_await group_->changed.wait_until(clock, when));
      }
      seen_ = group_->news;
      co_return Result<>();
    }

   private:
    GroupFollowers& all_;
    const std::string group_id_;
    std::shared_ptr<Group> group_;
    uint64_t seen_ = 0;
  };
  std::unique_ptr<Follower> follow(const std::string& group_id) {
    return std::make_unique<Follower>(*this, group_id);
  }

  void tell(const std::string& group_id) {
    const auto found = groups_.find(group_id);
    if (found == groups_.end()) return;
    ++found->second->news;
    found->second->changed.notify_all();
  }
  size_t followed() const { return groups_.size(); }
  // How often somebody began to wait; tests count it.
  uint64_t waits() const { return waits_; }

 private:
  const asio::any_io_executor executor_;
  Groups groups_;
  uint64_t waits_ = 0;
};

}  // namespace mesclun::cloud
