#include "cloud/waiting_book.h"

namespace mesclun::cloud {

void WaitingBook::judge(Waiting& group, size_t number, std::optional<Fit> fit) {
  if (number >= group.verdicts.size()) group.verdicts.resize(number + 1);
  std::optional<Fit>& verdict = group.verdicts[number];
  if (verdict == fit) return;
  if (verdict) group.misfit.add(*verdict, -1);
  if (fit) group.misfit.add(*fit, 1);
  verdict = fit;
}

void WaitingBook::keep(PlacementRequest request, const OfferBook& offers,
                       const IsExcluded& excluded, uint64_t& looked) {
  const auto [entry, is_new] = groups_.try_emplace(request.group_id);
  Waiting& group = entry->second;
  if (!is_new && group.request == request) return;
  group = {.request = std::move(request), .verdicts = {}, .misfit = {}};
  group.verdicts.resize(offers.numbers());
  looked += offers.numbers();
  for (size_t number = 0; number < offers.numbers(); ++number) {
    const NodeOffer* offer = offers.at(number);
    if (offer != nullptr) judge(group, number, fit_of(group.request, *offer, excluded));
  }
}

std::vector<std::string> WaitingBook::review(size_t number, const NodeOffer* offer,
                                             const ExcludedOf& excluded, uint64_t& looked) {
  std::vector<std::string> fitting;
  for (auto& [id, group] : groups_) {
    ++looked;
    std::optional<Fit> fit;
    if (offer != nullptr) {
      const IsExcluded is_excluded = [&excluded, &group_id = id](const std::string& node_id) {
        return excluded(group_id, node_id);
      };
      fit = fit_of(group.request, *offer, is_excluded);
    }
    judge(group, number, fit);
    if (fit == Fit::Yes) fitting.push_back(id);
  }
  return fitting;
}

const Misfit* WaitingBook::find(const std::string& group_id) const {
  const auto found = groups_.find(group_id);
  return found == groups_.end() ? nullptr : &found->second.misfit;
}

}  // namespace mesclun::cloud
