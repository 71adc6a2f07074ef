#include "companion/work_meter.h"

#include "companion/batch_codec.h"

namespace mesclun::companion {

namespace {

constexpr size_t kAnswerBytesMax = 1024 * 1024;
constexpr size_t kTailBytes = 64 * 1024;

}  // namespace

void WorkMeter::begin(const HeaderList& headers) {
  if (!source_) return;
  headers_ = headers;
  events_ = headers.find("Content-Type").value_or("").starts_with("text/event-stream");
}

void WorkMeter::feed(std::string_view piece) {
  if (source_.kind != FieldSource::Kind::Json || too_large_) return;
  kept_ += piece;
  if (events_) {
    if (kept_.size() > 2 * kTailBytes) kept_.erase(0, kept_.size() - kTailBytes);
  } else if (kept_.size() > kAnswerBytesMax) {
    too_large_ = true;
    kept_.clear();
  }
}

std::optional<double> WorkMeter::finish() const {
  if (!source_ || too_large_) return std::nullopt;
  if (events_ && source_.kind == FieldSource::Kind::Json) return find_in_events();
  const Result<double> found = find_number(source_, headers_, kept_);
  return found ? std::optional<double>(*found) : std::nullopt;
}

std::optional<double> WorkMeter::find_in_events() const {
  constexpr std::string_view kData = "\ndata:";
  const HeaderList none;
  size_t at = kept_.size();
  while (at != std::string::npos && at > 0) {
    at = kept_.rfind(kData, at - 1);
    if (at == std::string::npos) return std::nullopt;
    const size_t begin = at + kData.size();
    const size_t end = std::min(kept_.find('\n', begin), kept_.size());
    std::string_view event = std::string_view(kept_).substr(begin, end - begin);
    while (event.starts_with(' ')) event.remove_prefix(1);
    while (event.ends_with('\r')) event.remove_suffix(1);
    if (const Result<double> found = find_number(source_, none, event)) return *found;
  }
  return std::nullopt;
}

}  // namespace mesclun::companion
