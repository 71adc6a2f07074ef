#include "registry/pull_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crypto.h"
#include "http/client.h"
#include "http/sigv4.h"
#include "registry/challenge.h"

namespace mesclun::registry {

namespace {

constexpr size_t kTokenBytesMax = 32 * 1024;
constexpr size_t kWordsMax = 300;
// What a token without another word lives, by the specification of registry tokens; none is believed
// to live longer than ECR's.
constexpr Duration kTokenLife = 60s;
constexpr Duration kTokenLifeMax = std::chrono::hours(12);

const json::value* member(const json::value& from, std::string_view name) {
  return from.is_object() ? from.get_object().if_contains(name) : nullptr;
}

std::string text_member(const json::value& from, std::string_view name) {
  const json::value* found = member(from, name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
}

double number_member(const json::value& from, std::string_view name) {
  const json::value* found = member(from, name);
  if (found == nullptr || !found->is_number()) return 0;
  return found->to_number<double>();
}

const json::value* first_of(const json::value& from, std::string_view name) {
  const json::value* list = member(from, name);
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return nullptr;
  return &list->get_array().front();
}

// One line of what a server says: {"errors":[{"message":…}]}, {"details":…}, {"message":…}, or text.
std::string words_of(const HttpReply& answer) {
  std::string words;
  if (const Result<json::value> body = parse_json(answer.body)) {
    if (const json::value* error = first_of(*body, "errors")) {
      words = text_member(*error, "message");
    }
    for (const std::string_view name : {"details", "message", "error"}) {
      if (words.empty()) words = text_member(*body, name);
    }
  } else {
    words = answer.body;
  }
  words = valid_utf8(words, kWordsMax);
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return fmt::format("{}{}{}", answer.status, words.empty() ? "" : " ", words);
}

Error refused(std::string_view who, const HttpReply& answer) {
  return {ErrorCode::PermissionDenied,
          fmt::format("{} refuses the credentials: {}", who, words_of(answer))};
}

Error no_use(std::string_view who, const HttpReply& answer) {
  return Error::unavailable(fmt::format("{} answered {}", who, words_of(answer)));
}

bool is_refusal(int status) {
  return status == 400 || status == 401 || status == 403;
}

Duration believed(double seconds) {
  const double max = static_cast<double>(kTokenLifeMax / 1s);
  // Also for what is no number.
  if (!(seconds > 0)) return kTokenLife;
  return std::chrono::seconds(static_cast<int64_t>(std::min(seconds, max)));
}

// A line of a header, and of JSON.
bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

Result<HttpUrl> first_call(const ImageName& image, bool plain) {
  const std::string_view scheme = plain && is_local(image.registry) ? "http" : "https";
  return parse_http_url(fmt::format("{}://{}/v2/", scheme, api_host(image.registry)));
}

Result<NextCall> after_first_answer(const HttpReply& answer, const ImageName& image, bool plain) {
  if (answer.status == 200) return NextCall{};
  if (answer.status != 401) return no_use(image.registry, answer);
  bool knows_basic = false;
  for (size_t i = 0; i < answer.headers.size(); ++i) {
    if (!iequals(answer.headers[i].name, "WWW-Authenticate")) continue;
    for (const Challenge& challenge : parse_challenges(answer.headers[i].value)) {
      knows_basic = knows_basic || challenge.scheme == "basic";
      if (challenge.scheme != "bearer") continue;
      const std::string_view realm = challenge.detail("realm");
      TRY(HttpUrl url, parse_http_url(realm));
      if (!url.tls && !plain) {
        return Error::invalid(
            fmt::format("{} wants the credentials at {:.128}, without TLS; they are not sent there",
                        image.registry, realm));
      }
      url.target += url.target.find('?') == std::string::npos ? '?' : '&';
      if (const std::string_view service = challenge.detail("service"); !service.empty()) {
        url.target += fmt::format("service={}&", percent_encode(service));
      }
      url.target += fmt::format(
          "scope={}", percent_encode(fmt::format("repository:{}:pull", image.repository)));
      return NextCall{.kind = NextCall::Kind::Realm, .realm = std::move(url)};
    }
  }
  if (!knows_basic) {
    return Error::unavailable(
        fmt::format("{} wants neither a token nor a password", image.registry));
  }
  return NextCall{.kind = NextCall::Kind::Password};
}

HttpCall basic_call(std::string target, const api::RegistryAuthentication& credentials) {
  HttpCall call{.target = std::move(target)};
  call.headers.add("Authorization", basic_authorization(credentials.user, credentials.secret));
  return call;
}

Result<PullAccess> read_token(const HttpReply& answer, const ImageName& image) {
  if (is_refusal(answer.status)) return refused(image.registry, answer);
  if (answer.status != 200) return no_use(image.registry, answer);
  TRY(const json::value body, parse_json(answer.body));
  std::string token = text_member(body, "token");
  if (token.empty()) token = text_member(body, "access_token");
  if (token.empty() || token.size() > kTokenBytesMax || !is_printable(token)) {
    return Error::unavailable(fmt::format("{} gave no token", image.registry));
  }
  return PullAccess{.kind = PullAccess::Kind::Token,
                    .secret = std::move(token),
                    .life = believed(number_member(body, "expires_in"))};
}

Result<PullAccess> read_password_check(const HttpReply& answer, const ImageName& image,
                                       const api::RegistryAuthentication& credentials) {
  if (is_refusal(answer.status)) return refused(image.registry, answer);
  if (answer.status != 200) return no_use(image.registry, answer);
  return PullAccess{
      .kind = PullAccess::Kind::Password, .user = credentials.user, .secret = credentials.secret};
}

Result<EcrPlace> ecr_place(const ImageName& image) {
  const auto elsewhere = [&image] {
    return Error::invalid(fmt::format(
        "aws_ecr is for images at ACCOUNT.dkr.ecr.REGION.amazonaws.com, and this one is at {}",
        image.registry));
  };
  std::string_view rest = image.registry;
  std::string_view domain;
  for (const std::string_view known : {".amazonaws.com", ".amazonaws.com.cn"}) {
    if (rest.ends_with(known)) domain = known;
  }
  const size_t mark = rest.find(".dkr.ecr.");
  if (domain.empty() || mark == rest.npos) return elsewhere();
  rest.remove_suffix(domain.size());
  rest.remove_prefix(std::min(rest.size(), mark + std::string_view(".dkr.ecr.").size()));
  if (rest.empty() || rest.find_first_of(".:[]") != rest.npos) return elsewhere();
  EcrPlace place{.region = std::string(rest)};
  TRY(place.api, parse_http_url(fmt::format("https://api.ecr.{}{}/", place.region, domain)));
  return place;
}

HttpCall ecr_call(const EcrPlace& place, const api::RegistryAuthentication& credentials,
                  WallTime now) {
  HttpCall call{.method = "POST", .target = place.api.target, .body = "{}"};
  call.headers.add("Content-Type", "application/x-amz-json-1.1");
  call.headers.add("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
  const SigningKey key{.access_key_id = credentials.user,
                       .secret_access_key = credentials.secret,
                       .region = place.region,
                       .service = "ecr"};
  sign_v4(call, place.api.authority, key, now, sha256_hex(call.body));
  return call;
}

Result<PullAccess> read_ecr_token(const HttpReply& answer, WallTime now) {
  if (is_refusal(answer.status)) return refused("AWS", answer);
  if (answer.status != 200) return no_use("AWS", answer);
  TRY(const json::value body, parse_json(answer.body));
  const json::value* given = first_of(body, "authorizationData");
  if (given == nullptr) return Error::unavailable("AWS gave no authorization");
  const std::string token = text_member(*given, "authorizationToken");
  if (token.size() > kTokenBytesMax) return Error::unavailable("AWS gave too long a token");
  const Result<std::string> text = from_base64(token);
  const size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos || !is_printable(*text))
    return Error::unavailable("AWS gave no authorization that could be read");
  const double left =
      number_member(*given, "expiresAt") - static_cast<double>(to_unix_seconds(now));
  return PullAccess{.kind = PullAccess::Kind::Password,
                    .user = text->substr(0, colon),
                    .secret = text->substr(colon + 1),
                    .life = believed(left)};
}

}  // namespace mesclun::registry
