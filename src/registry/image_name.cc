#include "registry/image_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace mesclun::registry {

namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubApi = "registry-1.docker.io";
constexpr size_t kRegistryLengthMax = 255;
constexpr size_t kRepositoryLengthMax = 255;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool has_only(std::string_view text, std::string_view others) {
  return std::ranges::all_of(text, [others](char c) {
    return is_letter_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

bool is_repository(std::string_view text) {
  if (text.empty() || text.size() > kRepositoryLengthMax || !has_only(text, "._-/")) return false;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('/', at), text.size());
    // Neither empty, nor "..".
    if (end == at || !is_letter_or_digit(text[at]) || !is_letter_or_digit(text[end - 1])) {
      return false;
    }
    at = end + 1;
  }
  return true;
}

}  // namespace

Result<ImageName> parse_image_name(std::string_view image) {
  const auto bad = [image] {
    return Error::invalid(
        fmt::format("'{:.200}' does not name an image: write [REGISTRY/]NAME[:TAG]", image));
  };
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (image.starts_with(scheme)) image.remove_prefix(scheme.size());
  }
  std::string_view rest = image.substr(0, image.find('@'));
  const size_t last = rest.rfind('/') == rest.npos ? 0 : rest.rfind('/') + 1;
  rest = rest.substr(0, rest.find(':', last));

  ImageName name{.registry = std::string(kDockerHub)};
  const size_t slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  const bool names_registry =
      slash != rest.npos && (first.find_first_of(".:[") != first.npos || first == "localhost");
  if (names_registry) {
    name.registry = lower_case(first);
    rest.remove_prefix(slash + 1);
    if (name.registry.size() > kRegistryLengthMax || !has_only(name.registry, ".-:[]")) {
      return bad();
    }
  }
  if (name.registry == "index.docker.io" || name.registry == kDockerHubApi) {
    name.registry = kDockerHub;
  }
  const bool official = name.registry == kDockerHub && rest.find('/') == rest.npos;
  name.repository = fmt::format("{}{}", official ? "library/" : "", rest);
  if (!is_repository(name.repository)) return bad();
  return name;
}

std::string api_host(std::string_view registry) {
  return std::string(registry == kDockerHub ? kDockerHubApi : registry);
}

bool is_local(std::string_view registry) {
  const std::string_view host = registry.substr(0, registry.rfind(':'));
  return host == "localhost" || host.starts_with("127.") || registry.starts_with("[::1]");
}

}  // namespace mesclun::registry
