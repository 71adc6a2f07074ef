#include <tuple>

#include "registry/challenge.h"
#include "registry/pull_flow.h"

// What a registry answers to a first call, from the network to the call that follows.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  registry::parse_challenges(text);
  HttpReply reply{.status = 401, .body = std::string(text)};
  reply.headers.add("WWW-Authenticate", text);
  const registry::ImageName image{.registry = "ghcr.io", .repository = "team/app"};
  for (const bool plain : {false, true}) {
    const auto next = registry::after_first_answer(reply, image, plain);
    if (!next || next->kind != registry::NextCall::Kind::Realm) continue;
    if (!plain && !next->realm.tls) __builtin_trap();
    if (next->realm.target.find('\n') != std::string::npos) __builtin_trap();
  }
  reply.status = 200;
  std::ignore = registry::read_token(reply, image);
  std::ignore = registry::read_ecr_token(reply, WallTime{});
  return 0;
}
