#include "runtime/docker/images.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/race.h"
#include "http/url.h"
#include "runtime/docker/answer.h"
#include "runtime/docker/image_pull.h"

namespace mesclun::runtime {

namespace {

// As images name it; empty: whatever the engine runs is taken.
#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "amd64";
#elif defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "";
#endif

// A pull of which nothing is heard for so long has failed; one that goes on takes as long as it takes.
constexpr Duration kPullSilenceMax = 5min;

Task<Result<>> pull_from(Engine& engine, Clock& clock, std::string name, RegistryAccess access,
                         std::function<void(double)> progress) {
  EngineCall call{.method = "POST", .target = "/images/create?fromImage=" + percent_encode(name)};
  call.registry_auth = registry_auth(access);
  CO_TRY(const std::unique_ptr<EngineStream> stream, co_await engine.open(std::move(call)));
  PullReport report;
  while (true) {
    CO_TRY(const std::string bytes, co_await within(clock, kPullSilenceMax, stream->read()));
    if (bytes.empty()) co_return Result<>();
    CO_TRY_DO(report.feed(bytes));
    progress(report.percent());
  }
}

}  // namespace

Task<Result<json::value>> inspect_image(Engine& engine, std::string image) {
  co_return co_await engine.call(
      {.target = "/images/" + percent_encode(full_image_name(image), true) + "/json"});
}

Result<> check_architecture(const std::string& name, const json::value& image) {
  const std::string architecture = text_of(image, "Architecture");
  if (architecture.empty() || kArchitecture.empty() || architecture == kArchitecture) return {};
  return Error{ErrorCode::FailedPrecondition,
               fmt::format("cannot run the image {}: it is for {}, and this machine is {}", name,
                           architecture, kArchitecture)};
}

std::string registry_auth(const RegistryAccess& access) {
  if (access.empty()) return {};
  json::object said{{"serveraddress", access.registry}};
  if (!access.token.empty()) {
    said["registrytoken"] = access.token;
  } else {
    said["username"] = access.user;
    said["password"] = access.password;
  }
  // The alphabet of URLs, but padded.
  std::string text = base64(json::serialize(said));
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return text;
}

Task<Result<>> pull_image(Engine& engine, Clock& clock, std::string image, RegistryAccess access,
                          std::function<void(double)> progress) {
  const std::string name = full_image_name(image);
  const Result<> pulled =
      co_await pull_from(engine, clock, name, std::move(access), std::move(progress));
  if (pulled || pulled.code() == ErrorCode::Cancelled) co_return pulled;
  if (pulled.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(fmt::format("cannot pull the image {}: nothing came for {} s", name,
                                          to_seconds(kPullSilenceMax)));
  }
  co_return pull_error(name, pulled.error().message);
}

}  // namespace mesclun::runtime
