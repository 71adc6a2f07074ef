#include "runtime/docker/image_keeper.h"

#include <algorithm>

#include "base/log.h"
#include "http/url.h"
#include "runtime/docker/answer.h"
#include "runtime/docker/image_pull.h"
#include "runtime/docker/images.h"

namespace mesclun::runtime {

namespace {

// When it was last needed is kept to within so much.
constexpr Duration kSaveEvery = 1h;

}  // namespace

void ImageKeeper::load() {
  Result<std::vector<PulledImage>> read = read_record<std::vector<PulledImage>>(parts_.file);
  if (read) {
    images_ = std::move(*read);
  } else if (read.code() != ErrorCode::NotFound) {
    log_warning("driver", "which images were pulled is not known any more: they stay",
                {{"file", parts_.file}, {"error", read.error().message}});
  }
}

Task<Result<>> ImageKeeper::run() {
  while (true) {
    CO_TRY_DO(co_await look());
    CO_TRY_DO(co_await parts_.clock.sleep_for(parts_.period));
  }
}

Task<Result<>> ImageKeeper::look() {
  std::vector<PulledImage> idle;
  for (PulledImage& image : images_) {
    if (caching_of_runs(image.name).has_value()) {
      note_use(image.name);
    } else {
      idle.push_back(image);
    }
  }
  if (parts_.clock.now() - saved_ >= kSaveEvery) save();
  const int64_t now = to_unix_nanos(parts_.clock.wall_now());
  for (const std::string& name : choose_removals(std::move(idle), parts_.limits, now)) {
    const Result<> removed = co_await remove(name);
    if (!removed && removed.code() == ErrorCode::Cancelled) co_return removed;
    if (removed) continue;
    // Later again, with the engine back, or without the container of somebody else.
    log_info("driver", "an image that no run needs stays",
             {{"image", name}, {"why", removed.error().message}});
    note_use(name);
  }
  co_return Result<>();
}

Task<Result<>> ImageKeeper::remove(std::string name) {
  const PulledImage* known = find(name);
  if (known == nullptr || caching_of_runs(name).has_value()) co_return Result<>();
  // Whoever asks for it meanwhile waits, and then pulls it again.
  removing_ = name;
  Result<> removed = co_await remove_now(*known);
  removing_.clear();
  removed_.notify_all();
  if (removed) forget(name);
  co_return removed;
}

Task<Result<>> ImageKeeper::remove_now(PulledImage image) {
  const Result<json::value> there = co_await inspect_image(parts_.engine, image.name);
  if (!there && there.code() == ErrorCode::NotFound) co_return Result<>();
  if (!there) co_return there.error();
  if (text_of(*there, "Id") != image.id) co_return Result<>();
  // Not by force: refused where a container needs it.
  const Result<json::value> gone = co_await parts_.engine.call(
      {.method = "DELETE", .target = "/images/" + percent_encode(image.name, true)});
  if (!gone && gone.code() != ErrorCode::NotFound) co_return gone.error();
  log_info("driver", "removed an image that no run needs",
           {{"image", image.name}, {"bytes", image.bytes}});
  co_return Result<>();
}

Task<Result<std::optional<json::value>>> ImageKeeper::look_for(std::string name) {
  while (removing_ == name) CO_TRY_DO(co_await removed_.wait());
  note_use(name);
  Result<json::value> known = co_await inspect_image(parts_.engine, name);
  if (known) co_return *std::move(known);
  if (known.code() == ErrorCode::NotFound) co_return std::nullopt;
  co_return known.error();
}

// One for other machines is not had: a registry may have one for this machine by the same name.
Task<Result<bool>> ImageKeeper::has(std::string image) {
  const std::string name = full_image_name(image);
  CO_TRY(const std::optional<json::value> known, co_await look_for(name));
  if (!known) co_return false;
  co_return check_architecture(name, *known).has_value();
}

Task<Result<>> ImageKeeper::pull(std::string image, RegistryAccess access,
                                 std::function<void(double)> progress) {
  const std::string name = full_image_name(image);
  const bool is_private = !access.empty();
  CO_TRY(const std::optional<json::value> had, co_await look_for(name));
  CO_TRY_DO(co_await pull_image(parts_.engine, parts_.clock, image, std::move(access),
                                std::move(progress)));
  const Result<json::value> pulled = co_await inspect_image(parts_.engine, name);
  if (!pulled && pulled.code() == ErrorCode::Cancelled) co_return pulled.error();
  // Without an entry it stays for good, which is no harm.
  if (!pulled) co_return Result<>();
  if (!had || find(name) != nullptr) note_pull(name, *pulled, is_private);
  co_return check_architecture(name, *pulled);
}

void ImageKeeper::note_pull(const std::string& name, const json::value& pulled, bool is_private) {
  PulledImage* known = find(name);
  PulledImage image_now{.name = name,
                        .id = text_of(pulled, "Id"),
                        .bytes = number_of(pulled, "Size"),
                        .use_time = to_unix_nanos(parts_.clock.wall_now()),
                        .is_private = is_private,
                        .caching = caching_of_runs(name)};
  if (known != nullptr && known->id != image_now.id) {
    // The engine has no name for that one any more.
    known->name = known->id;
    known = nullptr;
  }
  if (known != nullptr) {
    *known = std::move(image_now);
  } else {
    images_.push_back(std::move(image_now));
  }
  save();
}

PulledImage* ImageKeeper::find(std::string_view name) {
  const auto found = std::ranges::find(images_, name, &PulledImage::name);
  return found == images_.end() ? nullptr : &*found;
}

std::optional<bool> ImageKeeper::caching_of_runs(std::string_view name) const {
  std::optional<bool> out;
  for (const auto& [id, run] : parts_.runs.all()) {
    if (run->record.image.value_or("") != name) continue;
    out = out.value_or(false) || run->record.image_caching.value_or(false);
  }
  return out;
}

void ImageKeeper::note_use(std::string_view name) {
  PulledImage* known = find(name);
  if (known == nullptr) return;
  known->use_time = to_unix_nanos(parts_.clock.wall_now());
  const std::optional<bool> caching = caching_of_runs(name);
  if (!caching || caching == known->caching) return;
  known->caching = caching;
  save();
}

void ImageKeeper::forget(std::string_view name) {
  if (std::erase_if(images_, [name](const PulledImage& image) { return image.name == name; }) > 0) {
    save();
  }
}

void ImageKeeper::save() {
  saved_ = parts_.clock.now();
  if (const Result<> kept = write_record(parts_.file, images_); !kept) {
    log_warning("driver", "cannot keep which images were pulled",
                {{"error", kept.error().message}});
  }
}

}  // namespace mesclun::runtime
