#include "agent/private_images.h"

#include <algorithm>

namespace mesclun::agent {

bool PrivateImages::must_prove(const std::string& repository,
                               const std::string& organization_id) const {
  const auto found = stored_.find(repository);
  if (found == stored_.end()) return stored_.size() >= kRepositoriesMax;
  return std::ranges::find(found->second, organization_id) == found->second.end();
}

bool PrivateImages::mark(const std::string& repository) {
  if (stored_.size() >= kRepositoriesMax) return false;
  return stored_.try_emplace(repository).second;
}

bool PrivateImages::prove(const std::string& repository, const std::string& organization_id) {
  const auto found = stored_.find(repository);
  if (found == stored_.end()) return false;
  std::vector<std::string>& known = found->second;
  if (std::ranges::find(known, organization_id) != known.end()) return false;
  if (known.size() >= kOrganizationsMax) known.erase(known.begin());
  known.push_back(organization_id);
  return true;
}

}  // namespace mesclun::agent
