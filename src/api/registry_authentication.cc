#include "api/registry_authentication.h"

#include <fmt/format.h>

#include "api/checks.h"

namespace mesclun::api {

namespace {

constexpr size_t kSecretLengthMax = 10'000;
constexpr std::string_view kServiceAccount = "_json_key";

// Where a kind has its two texts.
struct Members {
  RegistryKind kind;
  std::string_view user;  // empty: it is always kServiceAccount
  std::string_view secret;
};
constexpr Members kMembers[] = {
    {RegistryKind::Basic, "username", "password"},
    {RegistryKind::DockerHub, "username", "personal_access_token"},
    {RegistryKind::AwsEcr, "access_key_id", "secret_access_key"},
    {RegistryKind::GcpGar, "", "service_key"},
    {RegistryKind::GcpGcr, "", "service_key"},
};

void read_text(const json::object& object, std::string_view member, const JsonPath& path,
               std::string& out, JsonProblems& problems) {
  const JsonPath at = path / member;
  const json::value* value = object.if_contains(member);
  if (value == nullptr || !value->is_string()) {
    problems.add(at, value == nullptr ? "is required" : "must be a string");
    return;
  }
  out = value->get_string();
  check_length(out, 1, kSecretLengthMax, at, problems);
  if (out.find('\0') != std::string::npos) problems.add(at, "must not contain a zero byte");
}

void check(const RegistryAuthentication& read, const JsonPath& path, JsonProblems& problems) {
  if (read.kind == RegistryKind::GcpGar || read.kind == RegistryKind::GcpGcr) {
    const Result<json::value> key = parse_json(read.secret);
    if (!key || !key->is_object()) {
      problems.add(path / "service_key", "must be the JSON text of a service account's key");
    }
  } else if (read.kind != RegistryKind::AwsEcr && read.user.find(':') != std::string::npos) {
    // The colon ends it in basic authentication (RFC 7617 §2).
    problems.add(path / "username", "must not contain a colon");
  }
}

}  // namespace

Result<RegistryChange> read_registry_authentication(const json::value& document) {
  RegistryChange change;
  const json::object* group = document.if_object();
  const json::value* container = group == nullptr ? nullptr : group->if_contains("container");
  if (container == nullptr || !container->is_object()) return change;
  const json::value* given = container->get_object().if_contains("registry_authentication");
  if (given == nullptr) return change;
  change.state = RegistryChange::State::Null;
  if (given->is_null()) return change;

  JsonProblems problems;
  const JsonPath root;
  const JsonPath in_container = root / "container";
  const JsonPath path = in_container / "registry_authentication";
  const json::object* kinds = given->if_object();
  if (kinds == nullptr) problems.add(path, "must be an object");
  int found = 0;
  for (const Members& members : kMembers) {
    const std::string_view name = enum_name(members.kind);
    const json::value* one = kinds == nullptr ? nullptr : kinds->if_contains(name);
    if (one == nullptr || one->is_null()) continue;
    const JsonPath at = path / name;
    if (++found > 1) continue;
    if (!one->is_object()) {
      problems.add(at, "must be an object");
      continue;
    }
    RegistryAuthentication& read = change.value;
    read.kind = members.kind;
    read.user = kServiceAccount;
    if (!members.user.empty()) {
      read_text(one->get_object(), members.user, at, read.user, problems);
    }
    read_text(one->get_object(), members.secret, at, read.secret, problems);
    if (problems.empty()) check(read, at, problems);
  }
  if (problems.empty() && found != 1) {
    problems.add(path, "must have exactly one of basic, docker_hub, aws_ecr, gcp_gar and gcp_gcr");
  }
  if (!problems.empty()) return problems.to_error();
  change.state = RegistryChange::State::Value;
  return change;
}

}  // namespace mesclun::api
