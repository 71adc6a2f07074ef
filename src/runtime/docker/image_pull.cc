#include "runtime/docker/image_pull.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/docker/answer.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kLineBytesMax = 64 * 1024;
constexpr size_t kLayersMax = 256;

int64_t size_of(const json::value& detail, std::string_view member) {
  return std::max<int64_t>(number_of(detail, member), 0);
}

bool says_any(std::string_view words, std::initializer_list<std::string_view> phrases) {
  return std::ranges::any_of(
      phrases, [words](std::string_view phrase) { return words.find(phrase) != words.npos; });
}

}  // namespace

Result<> PullReport::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (!passing_over_) line_.append(part.substr(0, kLineBytesMax + 1 - line_.size()));
    if (line_.size() > kLineBytesMax) {
      line_.clear();
      passing_over_ = true;
    }
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (!passing_over_) TRY_DO(take_line(line_));
    line_.clear();
    passing_over_ = false;
  }
  return {};
}

Result<> PullReport::take_line(std::string_view line) {
  const Result<json::value> parsed = parse_json(line);
  if (!parsed) return {};
  const json::value& told = *parsed;
  if (const std::string trouble = text_of(told, "error"); !trouble.empty()) {
    return Error::unavailable(trouble);
  }
  const std::string id = text_of(told, "id");
  const json::value* detail = member_of(told, "progressDetail");
  if (id.empty() || (layers_.size() >= kLayersMax && !layers_.contains(id))) return {};
  Layer& layer = layers_[id];
  const std::string status = text_of(told, "status");
  if (status == "Downloading" && detail != nullptr) {
    layer.size = size_of(*detail, "total");
    layer.done = std::min(size_of(*detail, "current"), layer.size);
  } else if (status == "Download complete" || status == "Pull complete") {
    layer.done = layer.size;
  }
  return {};
}

double PullReport::percent() const {
  int64_t done = 0;
  int64_t size = 0;
  for (const auto& [id, layer] : layers_) {
    done += layer.done;
    size += layer.size;
  }
  if (size == 0) return 0;
  return std::min(99.0, 100.0 * static_cast<double>(done) / static_cast<double>(size));
}

Error pull_error(const std::string& image, std::string_view words) {
  ErrorCode code = ErrorCode::Unavailable;
  if (says_any(words, {"no matching manifest", "does not match the specified platform"})) {
    code = ErrorCode::FailedPrecondition;
  } else if (says_any(words, {"no space left"})) {
    code = ErrorCode::ResourceExhausted;
  } else if (says_any(words, {"unauthorized", "no basic auth credentials", "denied: "})) {
    code = ErrorCode::PermissionDenied;
  } else if (says_any(words, {"not found", "manifest unknown", "does not exist",
                              "invalid reference format"})) {
    code = ErrorCode::NotFound;
  }
  return {code, fmt::format("cannot pull the image {}: {:.500}", image, words)};
}

std::string full_image_name(std::string_view image) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (image.starts_with(scheme)) image.remove_prefix(scheme.size());
  }
  const size_t name = image.rfind('/') == image.npos ? 0 : image.rfind('/') + 1;
  const bool has_tag = image.find_first_of(":@", name) != image.npos;
  return std::string(image) + (has_tag ? "" : ":latest");
}

}  // namespace mesclun::runtime
