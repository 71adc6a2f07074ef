// What may be larger than a frame is said in parts, and put together again by who hears it.
//
//   Desired, Report, KnownSpecs,
//   Usage                         a whole: replaces what was said before, once its last part is here
//   RouteUpdate                   many small truths, each good by itself; the last of a session's
//                                 first ones says that all were named
//   Spec                          one message each, which a bound at creation keeps within a frame
#pragma once

#include <optional>

#include "link/messages.h"

namespace mesclun::link {

// What a part weighs at most, so that heartbeats pass between parts. One element that is heavier
// makes a part of its own.
inline constexpr size_t kPartBytesMax = 256 * 1024;
// What a whole weighs at most where it is put together.
inline constexpr size_t kWholeBytesMax = 64 * 1024 * 1024;

// At least as many bytes as the element takes as JSON: six for each byte of a text.
size_t weight_of(const Assignment& element);
size_t weight_of(const InstanceReport& element);
size_t weight_of(const InstanceEvent& element);
size_t weight_of(const SpecName& element);
size_t weight_of(const InstanceUsage& element);
size_t weight_of(const Route& element);
size_t weight_of(const RouteKey& element);
size_t weight_of(const std::string& element);

// Cuts a list in order; at least one piece.
template <class T>
std::vector<std::vector<T>> in_pieces(std::vector<T> list, size_t bytes_max = kPartBytesMax) {
  std::vector<std::vector<T>> pieces(1);
  size_t weight = 0;
  for (T& element : list) {
    const size_t more = weight_of(element);
    if (weight + more > bytes_max && !pieces.back().empty()) {
      pieces.emplace_back();
      weight = 0;
    }
    weight += more;
    pieces.back().push_back(std::move(element));
  }
  return pieces;
}

// Every part is `whole` with a piece of its list, and says where it stands.
template <class Whole, class T>
std::vector<Whole> in_parts(Whole whole, std::vector<T> Whole::* list,
                            size_t bytes_max = kPartBytesMax) {
  std::vector<std::vector<T>> pieces = in_pieces(std::move(whole.*list), bytes_max);
  std::vector<Whole> parts;
  for (size_t i = 0; i < pieces.size(); ++i) {
    whole.*list = std::move(pieces[i]);
    whole.part = {static_cast<int32_t>(i), i + 1 == pieces.size()};
    parts.push_back(whole);
  }
  return parts;
}

// Puts together what in_parts() cut. A first part begins anew: what came before it and never ended
// is forgotten.
template <class Whole, auto kList>
class Gather {
 public:
  explicit Gather(size_t bytes_max = kWholeBytesMax) : bytes_max_(bytes_max) {}

  // The whole, with its last part; nothing before. InvalidArgument: a part that does not follow the
  // one before, or a whole that is too large.
  Result<std::optional<Whole>> take(Whole part) {
    const Part at = part.part;
    if (at.index == 0) {
      pieces_.clear();
      weight_ = 0;
      next_ = 0;
    }
    if (at.index != next_) return Error::invalid("a part of a message is missing");
    ++next_;
    for (auto& element : part.*kList) {
      weight_ += weight_of(element);
      if (weight_ > bytes_max_) return Error::invalid("all parts of a message are too large");
      pieces_.push_back(std::move(element));
    }
    if (!at.last) return std::optional<Whole>();
    part.*kList = std::move(pieces_);
    part.part = {};
    pieces_.clear();
    next_ = -1;
    return std::optional<Whole>(std::move(part));
  }
  size_t weight() const { return weight_; }

 private:
  using List = std::remove_cvref_t<decltype(std::declval<Whole>().*kList)>;
  const size_t bytes_max_;
  List pieces_;
  size_t weight_ = 0;
  int32_t next_ = 0;
};

using GatherDesired = Gather<Desired, &Desired::assignments>;
using GatherReport = Gather<Report, &Report::instances>;
using GatherKnownSpecs = Gather<KnownSpecs, &KnownSpecs::specs>;
using GatherUsage = Gather<Usage, &Usage::instances>;

}  // namespace mesclun::link
