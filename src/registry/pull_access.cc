#include "registry/pull_access.h"

#include <fmt/format.h>

#include "base/race.h"
#include "http/public_address.h"

namespace mesclun::registry {

namespace {

constexpr size_t kAnswerBytesMax = 256 * 1024;

Task<Result<HttpReply>> call_there(Clock& clock, Duration limit, AddressRule rule, HttpUrl url,
                                   HttpCall call) {
  CO_TRY(const ConnPtr conn, co_await open_http(url, clock, limit, rule));
  bool keep_alive = false;
  co_return co_await http_call(*conn, std::move(call), url.authority, kAnswerBytesMax, keep_alive);
}

Task<Result<HttpReply>> make_call(Clock& clock, PullAccessSettings settings, HttpUrl url,
                                  HttpCall call) {
  const AddressRule rule = settings.private_addresses ? nullptr : is_public_address;
  const std::string authority = url.authority;
  call.target = call.target.empty() ? url.target : call.target;
  Result<HttpReply> reply = co_await within(
      clock, settings.call_limit,
      call_there(clock, settings.call_limit, rule, std::move(url), std::move(call)));
  if (!reply && reply.code() != ErrorCode::Cancelled) {
    Error error = reply.error();
    error.message = fmt::format("{}: {}", authority, error.message);
    co_return error;
  }
  co_return reply;
}

Task<Result<PullAccess>> ask_ecr(Clock& clock, PullAccessSettings settings, ImageName image,
                                 api::RegistryAuthentication credentials) {
  EcrPlace place{.region = "us-east-1"};
  const Result<EcrPlace> real = ecr_place(image);
  if (real) place = *real;
  if (!real && !settings.ecr) co_return real.error();
  if (settings.ecr) place.api = *settings.ecr;
  const WallTime now = clock.wall_now();
  HttpCall call = ecr_call(place, credentials, now);
  CO_TRY(const HttpReply reply,
         co_await make_call(clock, std::move(settings), std::move(place.api), std::move(call)));
  co_return read_ecr_token(reply, now);
}

}  // namespace

Task<Result<PullAccess>> fetch_pull_access(Clock& clock, PullAccessSettings settings,
                                           ImageName image,
                                           api::RegistryAuthentication credentials) {
  if (credentials.kind == api::RegistryKind::AwsEcr) {
    co_return co_await ask_ecr(clock, std::move(settings), std::move(image),
                               std::move(credentials));
  }
  CO_TRY(const HttpUrl first, first_call(image, settings.private_addresses));
  HttpCall plain{.target = first.target};
  CO_TRY(const HttpReply answer, co_await make_call(clock, settings, first, std::move(plain)));
  CO_TRY(NextCall next, after_first_answer(answer, image, settings.private_addresses));
  if (next.kind == NextCall::Kind::None) co_return PullAccess{};
  const bool wants_token = next.kind == NextCall::Kind::Realm;
  HttpUrl url = wants_token ? std::move(next.realm) : first;
  HttpCall call = basic_call(url.target, credentials);
  CO_TRY(const HttpReply reply,
         co_await make_call(clock, std::move(settings), std::move(url), std::move(call)));
  co_return wants_token ? read_token(reply, image) : read_password_check(reply, image, credentials);
}

}  // namespace mesclun::registry
