#include "companion/metadata_client.h"

#include "base/json.h"
#include "base/log.h"
#include "base/race.h"
#include "base/text.h"
#include "http/client.h"
#include "http/url.h"

namespace mesclun::companion {

namespace {

constexpr int kAttempts = 3;
// A service that is being restarted is back within a second.
constexpr Duration kPauses[kAttempts - 1] = {250ms, 1s};
constexpr size_t kAnswerBytesMax = 64 * 1024;

Error status_error(int status, std::string_view body) {
  const std::string said =
      body.empty() ? std::string() : fmt::format(" ({})", clean_reason(body, 200));
  if (status == 403) {
    return {ErrorCode::PermissionDenied,
            fmt::format("the metadata service refused the call with 403{}: it must reach the "
                        "service unchanged, so remove any proxy or service mesh that adds "
                        "X-Forwarded headers or drops 'Metadata: true'",
                        said)};
  }
  if (status == 404) {
    return Error::not_found(
        fmt::format("the metadata service does not know this instance (404){}: the platform is "
                    "taking it down already; ending is enough. If it goes on running, check "
                    "metadata.uri",
                    said));
  }
  if (status / 100 == 4) {
    return Error::invalid(
        fmt::format("the metadata service refused the call with {}{}: check metadata.uri, another "
                    "service may listen there",
                    status, said));
  }
  return Error::unavailable(
      fmt::format("the metadata service answered {}{}: it is in trouble; ending with an error lets "
                  "the platform restart or move the instance",
                  status, said));
}

Task<Result<>> post_json(HttpUrl url, std::string body, Clock& clock, Duration limit) {
  const TimePoint end = clock.now() + limit;
  Result<ConnPtr> opened = co_await open_http(url, clock, limit);
  if (!opened) {
    Error error = opened.error();
    if (error.code == ErrorCode::Unavailable) {
      error.message = fmt::format(
          "no metadata service: {}. Outside the platform that is normal; inside, check "
          "metadata.uri ($SALAD_METADATA_URI)",
          error.message);
    }
    co_return error;
  }
  const ConnPtr conn = *std::move(opened);
  conn->set_deadline(end);
  HttpCall call{.method = "POST", .target = url.target, .body = std::move(body)};
  call.headers.add("Metadata", "true");
  call.headers.add("Content-Type", "application/json");
  call.headers.add("Accept", "application/json");
  bool keep_alive = false;
  CO_TRY(const HttpReply reply,
         co_await http_call(*conn, std::move(call), url.authority, kAnswerBytesMax, keep_alive));
  if (reply.status / 100 == 2) co_return Result<>();
  // 408 and 429 ask for another try as well.
  if (reply.status == 408 || reply.status == 429) {
    co_return Error::unavailable(
        fmt::format("the metadata service answered {}: it is busy", reply.status));
  }
  co_return status_error(reply.status, reply.body);
}

bool may_pass(ErrorCode code) {
  return code == ErrorCode::Unavailable || code == ErrorCode::DeadlineExceeded;
}

}  // namespace

std::string clean_reason(std::string_view text, size_t characters_max) {
  std::string out;
  for (size_t count = 0; !text.empty() && count < characters_max; ++count) {
    const size_t length = first_code_point(text).bytes;
    if (length == 0) {
      out += '?';
    } else if (length == 1 && (text[0] < ' ' || text[0] == '\x7f')) {
      out += ' ';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out.empty() ? "no reason given" : out;
}

Task<Result<>> MetadataClient::reallocate(std::string reason) {
  json::object body;
  body["reason"] = clean_reason(reason);
  const std::string text = json::serialize(body);
  Result<> result;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) CO_TRY_DO(co_await clock_.sleep_for(kPauses[attempt - 1]));
    result = co_await try_once("/v1/reallocate", text);
    if (result || !may_pass(result.code())) break;
    log_warning("metadata", "no success yet",
                {{"attempt", attempt + 1}, {"of", kAttempts}, {"error", result.error().message}});
  }
  co_return result;
}

Task<Result<>> MetadataClient::try_once(std::string path, std::string body) {
  CO_TRY(HttpUrl url, parse_http_url(config_.uri));
  url.append_path(path);
  const std::string where = url.endpoint.to_string();
  Result<> result = co_await within(
      clock_, config_.timeout, post_json(std::move(url), std::move(body), clock_, config_.timeout));
  if (result) co_return result;
  if (result.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(fmt::format(
        "the metadata service at {} gave no answer within {} ms: without one the companion can "
        "only end with an error; check metadata.uri if this is not the platform's service",
        where, to_millis(config_.timeout)));
  }
  co_return result;
}

}  // namespace mesclun::companion
