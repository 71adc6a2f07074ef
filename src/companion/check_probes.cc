#include "companion/check_probes.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/integer.h"
#include "base/log.h"
#include "base/race.h"
#include "http/sigv4.h"
#include "http/url.h"

namespace mesclun::companion {

namespace {

constexpr Duration kBetweenConnects = 100ms;
constexpr Duration kDeleteLimit = 10s;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Adds what it measures to `times`, so that a limit leaves the first ones behind.
Task<Result<>> connect_times(Endpoint endpoint, int samples, Clock& clock, Duration limit,
                             std::vector<double>& times) {
  for (int i = 0; i < samples; ++i) {
    if (i > 0) CO_TRY_DO(co_await clock.sleep_for(kBetweenConnects));
    const TimePoint start = clock.now();
    CO_TRY(const ConnPtr conn, co_await dial(endpoint, clock, limit));
    times.push_back(to_seconds(clock.now() - start) * 1000);
    // From now on without looking the name up.
    if (!endpoint.is_unix) endpoint.host = conn->peer_address();
  }
  co_return Result<>();
}

// The number at the start of a small file; nothing if there is none ("max").
std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  if (!(file >> text)) return std::nullopt;
  return parse_integer<uint64_t>(text);
}

// "MemTotal:       16316412 kB".
std::optional<uint64_t> total_memory(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string name;
  uint64_t kib = 0;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    if (words >> name >> kib && name == "MemTotal:") return kib * 1024;
  }
  return std::nullopt;
}

Error no_bucket_url(const Error& error) {
  return Error::unavailable("checks.bucket.endpoint: " + error.message);
}

HttpCall signed_call(std::string method, const HttpUrl& url, const BucketCheckConfig& config,
                     Clock& clock) {
  const SigningKey key{.access_key_id = config.access_key_id,
                       .secret_access_key = config.secret_access_key,
                       .region = config.region};
  HttpCall call{.method = std::move(method), .target = url.target};
  sign_v4(call, url.authority, key, clock.wall_now(), kUnsignedPayload);
  return call;
}

Task<Result<>> delete_object(HttpUrl url, HttpCall call, Clock& clock) {
  CO_TRY(const ConnPtr conn, co_await open_http(url, clock, kDeleteLimit));
  bool keep_alive = false;
  CO_TRY(const HttpReply reply,
         co_await http_call(*conn, std::move(call), url.authority, size_t{64 * 1024}, keep_alive));
  if (reply.status / 100 == 2 || reply.status == 404) co_return Result<>();
  co_return Error::unavailable(fmt::format("the storage answered {}", reply.status));
}

// 403 from storage is nearly always one of these.
void explain_refusal(Result<TransferRate>& rate) {
  if (rate || rate.error().message.find("answered 403") == std::string::npos) return;
  Error error = rate.error();
  error.message +=
      ": check the keys, the region and the rights of checks.bucket, and this machine's time";
  rate = error;
}

}  // namespace

Task<Result<double>> measure_latency(Endpoint endpoint, int samples, Clock& clock, Duration limit) {
  std::vector<double> times;
  const Result<> ended = co_await within(
      clock, limit, connect_times(std::move(endpoint), samples, clock, limit, times));
  if (!ended && ended.code() == ErrorCode::Cancelled) co_return ended.error();
  if (times.size() > 1) times.erase(times.begin());
  if (times.empty()) {
    co_return ended ? Error::unavailable("no sample was asked for") : ended.error();
  }
  co_return median(std::move(times));
}

Task<Result<BucketRates>> measure_bucket(BucketCheckConfig config, std::string object_name,
                                         uint64_t bytes, Clock& clock, Duration limit) {
  Result<HttpUrl> url = parse_http_url(config.endpoint);
  if (!url) {
    const Error error = no_bucket_url(url.error());
    BucketRates unknown{.upload = error, .download = error};
    co_return unknown;
  }
  url->append_path('/' + percent_encode(config.bucket) + '/' +
                   percent_encode(config.prefix + object_name, true));

  BucketRates rates{.upload = co_await measure_upload(*url, signed_call("PUT", *url, config, clock),
                                                      bytes, clock, limit),
                    .download = Error::unavailable("nothing could be uploaded to read back")};
  if (!rates.upload && rates.upload.code() == ErrorCode::Cancelled) co_return rates.upload.error();
  if (rates.upload && rates.upload->complete) {
    rates.download = co_await measure_download(*url, signed_call("GET", *url, config, clock), bytes,
                                               clock, limit);
    if (!rates.download && rates.download.code() == ErrorCode::Cancelled) {
      co_return rates.download.error();
    }
  }
  const Result<> deleted = co_await within(
      clock, kDeleteLimit, delete_object(*url, signed_call("DELETE", *url, config, clock), clock));
  if (!deleted && deleted.code() == ErrorCode::Cancelled) co_return deleted.error();
  if (!deleted && rates.upload) {
    log_warning("checks", "the object of the bucket check stays behind",
                {{"object", config.prefix + object_name}, {"error", deleted.error().message}});
  }
  explain_refusal(rates.upload);
  explain_refusal(rates.download);
  co_return rates;
}

Result<uint64_t> memory_limit(const std::string& root) {
  std::optional<uint64_t> least = total_memory(root);
  for (const char* file : {"/sys/fs/cgroup/memory.max",                       // version 2
                           "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {  // version 1
    const std::optional<uint64_t> limit = number_in(root + file);
    if (limit && (!least || *limit < *least)) least = limit;
  }
  if (!least) return Error::unavailable("neither /proc/meminfo nor a control group tells");
  return *least;
}

Result<uint64_t> free_disk(const std::string& path) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) {
    return Error::unavailable(fmt::format("cannot look at '{}': {}", path, std::strerror(errno)));
  }
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace mesclun::companion
