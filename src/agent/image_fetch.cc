#include "agent/image_fetch.h"

#include "base/race.h"

namespace mesclun::agent {

namespace {

constexpr int kTries = 3;
constexpr Duration kAgain = 2s;  // times the try
constexpr Duration kShownEvery = 2s;

Task<Result<>> until_unwanted(const ImageFetch& fetch) {
  while (!fetch.is_unwanted()) CO_TRY_DO(co_await fetch.wake.wait());
  co_return Result<>();
}

Task<Result<>> pull(const ImageFetch& fetch, std::string image) {
  TimePoint next = fetch.clock.now();
  const auto progress = [&fetch, &next](double percent) {
    if (fetch.clock.now() < next) return;
    next = fetch.clock.now() + kShownEvery;
    fetch.show(static_cast<int32_t>(percent));
  };
  co_return co_await fetch.driver.pull(std::move(image), progress);
}

Task<Result<>> pull_often(const ImageFetch& fetch, std::string image) {
  for (int attempt = 1;; ++attempt) {
    Result<> pulled = co_await pull(fetch, image);
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
  if (here && *here) co_return Fetched{};
  if (!here) {
    if (here.code() == ErrorCode::Cancelled) co_return here.error();
    co_return Fetched{Fetched::End::ThisMachine, here.error().message};
  }
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
