#include "companion/check_runner.h"

#include <algorithm>
#include <cstdlib>

#include "base/integer.h"
#include "base/log.h"
#include "companion/check_probes.h"
#include "companion/check_result_file.h"
#include "companion/transfer_meter.h"

namespace mesclun::companion {

namespace {

std::string environment_text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<double> mbps(const Result<TransferRate>& rate) {
  if (!rate) return rate.error();
  return rate->mbps;
}

Result<double> known(std::optional<double> value) {
  if (!value) return Error::unavailable("the driver does not tell");
  return *value;
}

Result<double> as_number(const Result<uint64_t>& value) {
  if (!value) return value.error();
  return static_cast<double>(*value);
}

std::optional<double> as_number(const std::optional<uint64_t>& value) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

bool is_cancelled_result(const auto& result) {
  return !result && result.code() == ErrorCode::Cancelled;
}

}  // namespace

std::string ProcessCheckEnvironment::machine_id() const {
  return environment_text("SALAD_MACHINE_ID");
}

std::optional<int> ProcessCheckEnvironment::nodes_left() const {
  return parse_integer<int>(environment_text("MESCLUN_NODES_LEFT"));
}

std::optional<std::string> CheckRunner::why_skipped(const std::string& machine_id,
                                                    const std::string& fingerprint) const {
  if (items_.empty()) return "none are configured";
  if (machine_id.empty() && !config_.run_locally) {
    return "this is no instance of the platform ($SALAD_MACHINE_ID is not set); "
           "checks.run_locally runs them anyway";
  }
  const Result<std::string> passed =
      read_passed_checks(config_.result_file, machine_id, fingerprint);
  if (!passed) {
    log_debug("checks", "no earlier result", {{"why", passed.error().message}});
    return std::nullopt;
  }
  return fmt::format("they passed on this machine at {} ({})", *passed, config_.result_file);
}

Task<Result<CheckVerdict>> CheckRunner::run() {
  items_ = planned_checks(config_);
  const std::string machine_id = environment_.machine_id();
  const std::string fingerprint = checks_fingerprint(config_);
  CheckVerdict verdict;
  if (const auto why = why_skipped(machine_id, fingerprint)) {
    log_info("checks", "skipped", {{"why", *why}});
    verdict.skipped = *why;
    co_return verdict;
  }
  for (attempt_ = 1;; ++attempt_) {
    CO_TRY_DO(co_await measure());
    const CheckSituation situation{.attempts_done = attempt_,
                                   .nodes_left = environment_.nodes_left(),
                                   .is_local = machine_id.empty()};
    verdict = judge_checks(items_, config_, situation);
    if (verdict.step != CheckStep::Retry) break;
    log_warning(
        "checks", verdict.reason,
        {{"attempt", attempt_}, {"of", config_.attempts}, {"pause_s", to_seconds(config_.pause)}});
    CO_TRY_DO(co_await clock_.sleep_for(config_.pause));
  }
  for (const CheckItem& item : items_) {
    if (!item.unknown() && !item.missed()) log_info("checks", item.sentence());
  }
  for (const std::string& warning : verdict.warnings) log_warning("checks", warning);
  if (!verdict.misses.empty()) log_warning("checks", verdict.reason, {{"attempts", attempt_}});
  if (verdict.step == CheckStep::Serve) {
    const Result<> written = write_passed_checks(config_.result_file, machine_id, fingerprint,
                                                 clock_.wall_now(), items_);
    if (!written) {
      log_warning("checks", "the next start will measure again",
                  {{"error", written.error().message}});
    }
  }
  co_return verdict;
}

CheckItem* CheckRunner::wanted(std::string_view key) {
  for (CheckItem& item : items_) {
    if (item.key == key && (attempt_ == 1 || item.missed())) return &item;
  }
  return nullptr;
}

void CheckRunner::record(std::string_view key, const Result<double>& value) {
  CheckItem* const item = wanted(key);
  if (item == nullptr) return;
  if (value) {
    item->improve(*value, "");
  } else {
    item->improve(std::nullopt, value.error().message);
  }
}

Task<Result<>> CheckRunner::measure() {
  measure_machine();
  CO_TRY_DO(co_await measure_gpu());
  CO_TRY_DO(co_await measure_latencies());
  CO_TRY_DO(co_await measure_transfers());
  co_return co_await measure_bucket_rates();
}

void CheckRunner::measure_machine() {
  if (wanted("memory") != nullptr) record("memory", as_number(memory_limit(file_root_)));
  if (wanted("disk") != nullptr) record("disk", as_number(free_disk(config_.disk_path)));
}

Task<Result<>> CheckRunner::measure_gpu() {
  constexpr std::string_view kKeys[] = {"vram_total", "vram_free", "gpu_temperature", "cuda"};
  if (std::ranges::none_of(kKeys, [&](auto key) { return wanted(key) != nullptr; })) {
    co_return Result<>();
  }
  const Result<GpuReport> report =
      co_await query_gpus(commands_, config_.timeout, wanted("cuda") != nullptr);
  if (!report) {
    if (is_cancelled_result(report)) co_return report.error();
    for (const std::string_view key : kKeys) record(key, report.error());
    co_return Result<>();
  }
  const GpuReading worst = report->worst();
  record("vram_total", known(as_number(worst.vram_total)));
  record("vram_free", known(as_number(worst.vram_free)));
  record("gpu_temperature", known(worst.temperature));
  std::optional<double> cuda;
  if (report->cuda) cuda = cuda_as_number(report->cuda->major, report->cuda->minor);
  record("cuda", known(cuda));
  co_return Result<>();
}

Task<Result<>> CheckRunner::measure_latencies() {
  for (const LatencyCheckConfig& latency : config_.latency) {
    const std::string key = "latency " + latency.address;
    if (wanted(key) == nullptr) continue;
    const Result<Endpoint> endpoint = parse_endpoint(latency.address);
    if (!endpoint) {
      record(key, endpoint.error());
      continue;
    }
    const Result<double> time =
        co_await measure_latency(*endpoint, config_.latency_samples, clock_, config_.timeout);
    if (is_cancelled_result(time)) co_return time.error();
    record(key, time);
  }
  co_return Result<>();
}

Task<Result<>> CheckRunner::measure_transfers() {
  for (const bool is_upload : {false, true}) {
    const std::string_view key = is_upload ? "upload" : "download";
    if (wanted(key) == nullptr) continue;
    const TransferCheckConfig& check = is_upload ? config_.upload : config_.download;
    const Result<HttpUrl> url = parse_http_url(check.url);
    if (!url) {
      record(key, url.error());
      continue;
    }
    HttpCall call{.method = is_upload ? check.method : "GET", .target = url->target};
    if (is_upload) call.headers.add("Content-Type", "application/octet-stream");
    const Result<TransferRate> rate =
        is_upload
            ? co_await measure_upload(*url, std::move(call), config_.bytes, clock_, config_.timeout)
            : co_await measure_download(*url, std::move(call), config_.bytes, clock_,
                                        config_.timeout);
    if (is_cancelled_result(rate)) co_return rate.error();
    record(key, mbps(rate));
  }
  co_return Result<>();
}

Task<Result<>> CheckRunner::measure_bucket_rates() {
  if (wanted("bucket_upload") == nullptr && wanted("bucket_download") == nullptr) {
    co_return Result<>();
  }
  const std::string machine_id = environment_.machine_id();
  std::string object = fmt::format("{}-{}", machine_id.empty() ? "local" : machine_id,
                                   to_unix_nanos(clock_.wall_now()));
  CO_TRY(const BucketRates rates, co_await measure_bucket(config_.bucket, std::move(object),
                                                          config_.bytes, clock_, config_.timeout));
  record("bucket_upload", mbps(rates.upload));
  record("bucket_download", mbps(rates.download));
  co_return Result<>();
}

}  // namespace mesclun::companion
