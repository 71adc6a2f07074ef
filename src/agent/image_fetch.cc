#include "agent/image_fetch.h"

#include <fmt/format.h>

#include "base/race.h"
#include "registry/image_name.h"

namespace mesclun::agent {

namespace {

constexpr int kTries = 3;
constexpr Duration kAgain = 2s;  // times the try
constexpr Duration kShownEvery = 2s;
// A pull that was refused after so long had a token that ran out: registries give the first one a
// minute at least.
constexpr Duration kTokenLife = 60s;

Task<Result<>> until_unwanted(const ImageFetch& fetch) {
  while (!fetch.is_unwanted()) CO_TRY_DO(co_await fetch.wake.wait());
  co_return Result<>();
}

// By which private images are known; empty for what is no name of an image.
std::string repository_of(std::string_view image) {
  const auto name = registry::parse_image_name(image);
  return name ? fmt::format("{}/{}", name->registry, name->repository) : std::string();
}

Error cannot_pull(const std::string& image, Error error) {
  error.message = fmt::format("cannot pull the image {}: {}", image, error.message);
  return error;
}

// Refused by the registry, perhaps because nobody could say who we are.
bool is_refused(ErrorCode code) {
  return code == ErrorCode::PermissionDenied || code == ErrorCode::NotFound;
}

Task<Result<>> pull(const ImageFetch& fetch, std::string image, runtime::RegistryAccess access) {
  TimePoint next = fetch.clock.now();
  const auto progress = [&fetch, &next](double percent) {
    if (fetch.clock.now() < next) return;
    next = fetch.clock.now() + kShownEvery;
    fetch.show(static_cast<int32_t>(percent));
  };
  co_return co_await fetch.driver.pull(std::move(image), std::move(access), progress);
}

Task<Result<>> pull_once(const ImageFetch& fetch, std::string image) {
  Result<runtime::RegistryAccess> access = co_await fetch.rights.get(fetch.spec);
  const bool unknown = !access && access.error().cause == Cause::Unreachable;
  if (!access && !unknown) co_return cannot_pull(image, access.error());
  // Without a cloud the image may still be one for everybody.
  runtime::RegistryAccess shown = access ? *std::move(access) : runtime::RegistryAccess{};
  const bool has_token = !shown.token.empty();
  const std::string repository = repository_of(image);
  if (!shown.empty() && fetch.private_images.mark(repository)) {
    const Result<> saved = fetch.save_private_images();
    if (!saved) {
      fetch.private_images.unmark(repository);
      co_return saved;
    }
  }
  const TimePoint begun = fetch.clock.now();
  const Result<> pulled = co_await pull(fetch, std::move(image), std::move(shown));
  if (pulled) {
    if (!fetch.private_images.prove(repository, fetch.organization_id)) co_return pulled;
    // Not stored: it is proven again some day.
    std::ignore = fetch.save_private_images();
    co_return pulled;
  }
  const bool ran_out = has_token && fetch.clock.now() - begun >= kTokenLife;
  if (is_refused(pulled.code()) && (unknown || ran_out)) {
    co_return Error::unavailable(pulled.error().message);
  }
  co_return pulled;
}

Task<Result<>> pull_often(const ImageFetch& fetch, std::string image) {
  for (int attempt = 1;; ++attempt) {
    Result<> pulled = co_await pull_once(fetch, image);
    if (pulled || pulled.code() != ErrorCode::Unavailable || attempt == kTries) co_return pulled;
    CO_TRY_DO(co_await fetch.clock.sleep_for(attempt * kAgain));
  }
}

Fetched::End end_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::NotFound:
    case ErrorCode::PermissionDenied:
    case ErrorCode::FailedPrecondition:
    case ErrorCode::InvalidArgument:
      return Fetched::End::NoMachine;
    default:
      return Fetched::End::ThisMachine;
  }
}

}  // namespace

Task<Result<Fetched>> fetch_image(ImageFetch fetch, std::string image) {
  const Result<bool> here = co_await fetch.driver.has_image(image);
  if (!here) {
    if (here.code() == ErrorCode::Cancelled) co_return here.error();
    // A name that is none is the group's doing: a machine that is blamed takes nothing new.
    const bool is_no_name = here.code() == ErrorCode::InvalidArgument;
    co_return Fetched{is_no_name ? Fetched::End::NoMachine : Fetched::End::ThisMachine,
                      cannot_pull(image, here.error()).message};
  }
  const bool must_prove =
      fetch.private_images.must_prove(repository_of(image), fetch.organization_id);
  if (*here && !must_prove) co_return Fetched{};
  fetch.show(0);
  std::optional<Result<>> pulled;
  std::optional<Result<>> unwanted;
  const int first = co_await race(detail::store_result(pull_often(fetch, std::move(image)), pulled),
                                  detail::store_result(until_unwanted(fetch), unwanted));
  fetch.show(std::nullopt);
  if (co_await cancel_requested()) co_return Error::cancelled();
  if (pulled && *pulled) co_return Fetched{};
  if (first == 1 || !pulled) co_return Fetched{Fetched::End::Unwanted, {}};
  co_return Fetched{end_of(pulled->code()), pulled->error().message};
}

}  // namespace mesclun::agent
