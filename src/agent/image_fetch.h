// Brings an image to this machine before a run is made of it.
#pragma once

#include <functional>
#include <optional>

#include "agent/private_images.h"
#include "agent/pull_rights.h"
#include "base/notify.h"
#include "runtime/driver.h"

namespace mesclun::agent {

struct Fetched {
  enum class End {
    There,
    Unwanted,     // nobody needs it any more
    NoMachine,    // no machine could have it: the group is to be mended
    ThisMachine,  // its disk, its network, or the registry
  };
  End end = End::There;
  std::string why;  // for people
};

// Runs on:  the agent's loop.
// Lifetime: what it refers to outlives the call.
struct ImageFetch {
  runtime::ContainerDriver& driver;
  Clock& clock;
  PullRights& rights;
  PrivateImages& private_images;
  std::function<Result<>()> save_private_images;
  link::SpecName spec;          // that names the image
  std::string organization_id;  // whose it is
  std::function<bool()> is_unwanted;
  Notify& wake;  // is_unwanted() may answer otherwise
  // Per cent, every two seconds at most; before the first byte 0, at the end nothing.
  std::function<void(std::optional<int32_t>)> show;
};

// Nothing is shown, and nothing fetched, for an image that is here and that the organization may use.
// Three tries where the network may be at fault, or a token was too short for a long pull. Cancelled
// only.
Task<Result<Fetched>> fetch_image(ImageFetch fetch, std::string image);

}  // namespace mesclun::agent
