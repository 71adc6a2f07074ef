#include "cloud/data_folder.h"

#include <fmt/format.h>

#include "base/crypto.h"

namespace mesclun::cloud {

namespace {

Result<std::string> load_or_make(const std::string& path, std::string_view prefix, Random& random) {
  Result<std::string> kept = read_first_line(path);
  if (!kept && kept.code() == ErrorCode::NotFound) {
    std::string made = std::string(prefix) + new_secret(random);
    TRY_DO(keep_secret(path, made));
    return made;
  }
  if (kept) TRY_DO(make_file_private(path));
  const bool damaged = kept ? kept->size() < 16 : kept.code() == ErrorCode::InvalidArgument;
  if (!damaged) return kept;
  return Error{ErrorCode::FailedPrecondition,
               fmt::format("{} is damaged; remove it to have a new one made", path)};
}

}  // namespace

Result<Secrets> load_or_make_secrets(const std::string& folder, Random& random) {
  Secrets out;
  TRY(out.join_token, load_or_make(folder + "/join.token", "", random));
  TRY(out.gateway_token, load_or_make(folder + "/gateway.token", "", random));
  TRY(out.tunnel_secret, load_or_make(folder + "/tunnel.secret", "", random));
  TRY(out.operator_key, load_or_make(folder + "/operator.key", "mesclun_operator_", random));
  return out;
}

Result<> keep_secret(const std::string& path, const std::string& secret) {
  // Others know it from now on, and a new one would lock them out.
  return replace_file(path, secret + "\n", Durability::PowerLoss);
}

}  // namespace mesclun::cloud
