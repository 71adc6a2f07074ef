#include "cloud/workload_tokens.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#include "base/crypto.h"
#include "base/ids.h"
#include "base/openssl.h"

namespace mesclun::cloud {

namespace {

constexpr int kCoordinateBytes = 32;  // P-256

Result<std::string> new_private_pem() {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!key || !bio ||
      PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Error::internal("cannot make a signing key");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<KeyPtr> read_private_pem(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return Error::internal("a stored signing key cannot be read");
  return key;
}

std::string number_bytes(const BIGNUM* number) {
  std::string bytes(kCoordinateBytes, '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), kCoordinateBytes);
  return bytes;
}

Result<std::string> coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return Error::internal("no public key");
  const std::unique_ptr<BIGNUM, Freed<&BN_free>> number(raw);
  return base64url(number_bytes(number.get()));
}

// ECDSA gives DER; JOSE wants r and s back to back, padded.
Result<std::string> sign_raw(EVP_PKEY* key, std::string_view text) {
  const std::unique_ptr<EVP_MD_CTX, Freed<&EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) != 1) {
    return Error::internal("cannot sign");
  }
  std::vector<unsigned char> der(size);
  if (EVP_DigestSign(context.get(), der.data(), &size, data, text.size()) != 1) {
    return Error::internal("cannot sign");
  }
  const unsigned char* at = der.data();
  const std::unique_ptr<ECDSA_SIG, Freed<&ECDSA_SIG_free>> signature(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  if (!signature) return Error::internal("cannot sign");
  return number_bytes(ECDSA_SIG_get0_r(signature.get())) +
         number_bytes(ECDSA_SIG_get0_s(signature.get()));
}

Result<WorkloadKey> new_key(WallTime created) {
  std::string time = format_rfc3339(created);  // 2026-01-02T03:04:05.1234567+00:00
  time.resize(time.find('+'));
  WorkloadKey key{.kid = "salad-workload-" + time + "Z", .created = created};
  TRY(key.private_pem, new_private_pem());
  return key;
}

}  // namespace

Result<std::vector<WorkloadKey>> rotate_keys(std::vector<WorkloadKey> keys, WallTime now) {
  std::erase_if(
      keys, [&](const WorkloadKey& key) { return now >= key.created + 2 * kWorkloadKeyRotation; });
  // A first pair counts as a week old: it signs at once.
  if (keys.empty()) {
    TRY(keys.emplace_back(), new_key(now - kWorkloadKeyRotation));
  }
  if (keys.size() < 2) {
    TRY(keys.emplace_back(), new_key(now));
  }
  return keys;
}

Result<json::object> key_set(const std::vector<WorkloadKey>& keys) {
  json::array list;
  for (const WorkloadKey& key : keys) {
    TRY(const KeyPtr parsed, read_private_pem(key.private_pem));
    json::object jwk{{"kty", "EC"}, {"crv", "P-256"}, {"use", "sig"}, {"alg", "ES256"}};
    jwk["kid"] = key.kid;
    TRY(jwk["x"], coordinate(parsed.get(), OSSL_PKEY_PARAM_EC_PUB_X));
    TRY(jwk["y"], coordinate(parsed.get(), OSSL_PKEY_PARAM_EC_PUB_Y));
    list.push_back(std::move(jwk));
  }
  json::object set;
  set["keys"] = std::move(list);
  return set;
}

Result<std::string> sign_token(const WorkloadKey& key, const TokenClaims& claims, WallTime now) {
  const int64_t issued = to_unix_seconds(now);
  json::object header{{"alg", "ES256"}, {"typ", "JWT"}};
  header["kid"] = key.kid;
  json::object body;
  body["sub"] = claims.machine_id;
  body["salad_machine_id"] = claims.machine_id;
  body["jti"] = claims.token_id;
  body["salad_workload_id"] = claims.group_id;
  body["salad_workload_name"] = claims.group_name;
  body["salad_organization_id"] = claims.organization_id;
  body["salad_organization_name"] = claims.organization_name;
  body["iss"] = claims.issuer;
  body["aud"] = claims.organization_id;
  body["iat"] = issued;
  body["nbf"] = issued;
  body["exp"] = issued + kTokenSeconds;
  const std::string text =
      base64url(json::serialize(header)) + "." + base64url(json::serialize(body));
  TRY(const KeyPtr parsed, read_private_pem(key.private_pem));
  TRY(const std::string signature, sign_raw(parsed.get(), text));
  return text + "." + base64url(signature);
}

Task<Result<>> WorkloadTokens::load() {
  auto loaded = std::make_shared<std::vector<WorkloadKey>>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(const auto rows,
        tx.query("SELECT kid, created, private_pem FROM workload_key ORDER BY created"));
    for (const store::Row& row : rows) {
      loaded->push_back({row.text(0), row.time(1), row.text(2)});
    }
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  keys_ = std::move(*loaded);
  co_return co_await rotate();
}

Task<Result<>> WorkloadTokens::rotate() {
  CO_TRY(std::vector<WorkloadKey> keys, rotate_keys(keys_, clock_.wall_now()));
  const auto same = [](const WorkloadKey& a, const WorkloadKey& b) { return a.kid == b.kid; };
  if (std::ranges::equal(keys, keys_, same)) co_return Result<>();
  store::Body body = [keys](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("DELETE FROM workload_key"));
    for (const WorkloadKey& key : keys) {
      TRY_DO(tx.execute("INSERT INTO workload_key (kid, created, private_pem) VALUES ($1, $2, $3)",
                        {key.kid, to_unix_nanos(key.created), key.private_pem}));
    }
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  keys_ = std::move(keys);
  co_return Result<>();
}

Task<Result<>> WorkloadTokens::run() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(std::chrono::hours(1)));
    if (const Result<> done = co_await rotate(); !done && done.code() == ErrorCode::Cancelled) {
      co_return done;
    }
  }
}

Result<link::TokenReply> WorkloadTokens::issue(const Group& group, const std::string& machine_id) {
  if (keys_.empty()) return Error::unavailable("no signing key");
  const TokenClaims claims{.issuer = issuer_,
                           .machine_id = machine_id,
                           .group_id = group.id,
                           .group_name = group.spec.name,
                           .organization_id = group.organization_id,
                           .organization_name = group.organization_name,
                           .token_id = new_uuid(random_)};
  link::TokenReply reply{.group_id = group.id};
  TRY(reply.jwt, sign_token(keys_.front(), claims, clock_.wall_now()));
  reply.expires = to_unix_seconds(clock_.wall_now()) + kTokenSeconds;
  return reply;
}

}  // namespace mesclun::cloud
