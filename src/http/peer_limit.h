// How many peers may be served at once, in all and of one address.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace mesclun {

struct PeerLimits {
  size_t all = 1024;
  size_t of_address = 1024;  // an IPv6 network of 64 bits counts as one address
};

// Runs on:  one loop.
// Lifetime: outlives its places.
class PeerLimit {
 public:
  explicit PeerLimit(PeerLimits limits) : limits_(limits) {}
  PeerLimit(const PeerLimit&) = delete;
  PeerLimit& operator=(const PeerLimit&) = delete;

  // Counts while it lives.
  class Place {
   public:
    Place(Place&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)), at_(other.at_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (limit_ != nullptr) limit_->leave(at_);
    }

   private:
    friend class PeerLimit;
    using At = std::map<std::string, size_t, std::less<>>::iterator;
    Place(PeerLimit* limit, At at) : limit_(limit), at_(at) {}
    PeerLimit* limit_;
    At at_;
  };
  // Nothing: as many are served as may be. `address` is Conn::peer_address().
  std::optional<Place> enter(std::string_view address);
  size_t served() const { return served_; }

 private:
  void leave(Place::At at);

  const PeerLimits limits_;
  size_t served_ = 0;
  std::map<std::string, size_t, std::less<>> by_address_;  // without zeros
};

// What counts as one address: the address, without the port; of IPv6 its first 64 bits. Empty for
// what comes from no network ("unix", "memory"), which is only counted in all.
std::string address_key(std::string_view address);

}  // namespace mesclun
