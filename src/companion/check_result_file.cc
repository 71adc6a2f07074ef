#include "companion/check_result_file.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"

namespace mesclun::companion {

namespace {

struct PassedCheck {
  std::string key;
  std::string result;  // a sentence
  std::optional<double> measured;
  double required = 0;
};
BOOST_DESCRIBE_STRUCT(PassedCheck, (), (key, result, measured, required))

struct PassedChecks {
  std::string machine_id;
  std::string checks;  // fingerprint
  std::string passed_at;
  std::vector<PassedCheck> results;
};
BOOST_DESCRIBE_STRUCT(PassedChecks, (), (machine_id, checks, passed_at, results))

}  // namespace

std::string checks_fingerprint(const ChecksConfig& config) {
  std::string text = fmt::format(
      "{} {} {}\n{}\n{} {}\n{} {} {}\n{}\n", config.bytes, to_millis(config.timeout),
      config.latency_samples, config.download.url, config.upload.method, config.upload.url,
      config.bucket.endpoint, config.bucket.bucket, config.bucket.region, config.disk_path);
  for (const CheckItem& item : planned_checks(config)) {
    text += fmt::format("{} {} {}\n", item.key, item.name, item.required);
  }
  return sha256_hex(text);
}

Result<std::string> read_passed_checks(const std::string& path, const std::string& machine_id,
                                       const std::string& fingerprint) {
  if (path.empty()) return Error::not_found("checks.result_file is empty");
  TRY(const std::string text, read_file(path));
  const Result<PassedChecks> passed = from_json_text<PassedChecks>(text);
  if (!passed) {
    return Error::not_found(fmt::format("{} is no result file: {}", path, passed.error().message));
  }
  if (passed->machine_id != machine_id) return Error::not_found(path + " is of another machine");
  if (passed->checks != fingerprint) return Error::not_found(path + " is of other checks");
  return passed->passed_at;
}

Result<> write_passed_checks(const std::string& path, const std::string& machine_id,
                             const std::string& fingerprint, WallTime now,
                             const std::vector<CheckItem>& items) {
  if (path.empty()) return {};
  PassedChecks passed{.machine_id = machine_id,
                      .checks = fingerprint,
                      .passed_at = format_rfc3339(now),
                      .results = {}};
  for (const CheckItem& item : items) {
    passed.results.push_back({.key = item.key,
                              .result = item.sentence(),
                              .measured = item.measured,
                              .required = item.required});
  }
  // At worst the checks run again. Readable for whoever looks into the container.
  return replace_file(path, to_json_text(passed) + "\n", Durability::ProcessCrash, 0666);
}

}  // namespace mesclun::companion
