// Which images of this machine are not for everybody, and who has shown the right to them. Pure.
//
// An image that one tenant's credentials brought here lies here for all. Who names it without having
// shown the same right has to pull it himself: the registry decides, and sends nothing that is here.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace mesclun::agent {

// By repository, with its registry: a right is good for all tags.
//
// Bound:    kRepositoriesMax; beyond it every image counts as private.
// Lifetime: the stored map outlives it.
class PrivateImages {
 public:
  using Organizations = std::map<std::string, std::vector<std::string>>;
  explicit PrivateImages(Organizations& stored) : stored_(stored) {}

  // What is here must be pulled once more before this organization may run it.
  bool must_prove(const std::string& repository, const std::string& organization_id) const;
  // To be stored before a pull with credentials begins. True: that is a change.
  bool mark(const std::string& repository);
  // It could not be stored.
  void unmark(const std::string& repository) { stored_.erase(repository); }
  // A pull for the organization has succeeded. True: that is a change.
  bool prove(const std::string& repository, const std::string& organization_id);

  static constexpr size_t kRepositoriesMax = 2048;
  static constexpr size_t kOrganizationsMax = 256;  // of one; the oldest prove it again

 private:
  Organizations& stored_;
};

}  // namespace mesclun::agent
