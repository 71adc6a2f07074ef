// How credentials become the right to pull one image: what to call next, and what an answer means.
// Pure; pull_access.h makes the calls.
//
//   aws_ecr ────────────► GetAuthorizationToken, signed ─────────────────────► Password, of 12 h
//   others ── GET /v2/ ─► 200 ───────────────────────────────────────────────► Nothing
//                       ► 401 Bearer ─► GET realm?scope=repository:NAME:pull ─► Token
//                       ► 401 Basic ──► GET /v2/ with user and password, 200 ─► Password
#pragma once

#include "api/registry_authentication.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/url.h"
#include "registry/image_name.h"

namespace mesclun::registry {

// What an engine shows to a registry to pull one image.
struct PullAccess {
  enum class Kind {
    Nothing,   // it serves everybody
    Token,     // good for pulling this repository, for some minutes
    Password,  // where the registry knows nothing less
  };
  Kind kind = Kind::Nothing;
  std::string user;
  std::string secret;  // the token, or the password
  Duration life = 5min;
  bool operator==(const PullAccess&) const = default;
};

// The API's root. Without TLS only for a registry on this machine, where `plain` allows it.
Result<HttpUrl> first_call(const ImageName& image, bool plain);

struct NextCall {
  enum class Kind { None, Realm, Password };
  Kind kind = Kind::None;
  HttpUrl realm;  // with service and scope
};
// `plain`: the realm may be without TLS. InvalidArgument: its address is none, or is without TLS;
// Unavailable: an answer that says nothing.
Result<NextCall> after_first_answer(const HttpReply& answer, const ImageName& image, bool plain);

// Shows user and secret.
HttpCall basic_call(std::string target, const api::RegistryAuthentication& credentials);

// Errors of these three: PermissionDenied, the credentials are refused, with the server's words;
// Unavailable, anything else.
Result<PullAccess> read_token(const HttpReply& answer, const ImageName& image);
Result<PullAccess> read_password_check(const HttpReply& answer, const ImageName& image,
                                       const api::RegistryAuthentication& credentials);
Result<PullAccess> read_ecr_token(const HttpReply& answer, WallTime now);

// The region of ACCOUNT.dkr.ecr.REGION.amazonaws.com, with the domain of the service's own API.
struct EcrPlace {
  std::string region;
  HttpUrl api;
};
// InvalidArgument: the image lies elsewhere.
Result<EcrPlace> ecr_place(const ImageName& image);
HttpCall ecr_call(const EcrPlace& place, const api::RegistryAuthentication& credentials,
                  WallTime now);

}  // namespace mesclun::registry
