// What the companion can be told: one struct a section of mesclun-app.yaml, with the defaults.
// Names, ranges and sentences for people are in config_fields.cc, in one place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace mesclun::companion {

// A thing to do about trouble. Reallocate: ask the platform for another node, with the reason;
// without a metadata service, or when it fails, exit with status 1 instead.
enum class Action { Reallocate, Exit, Report };

// Where a number or a word of a request or answer stands: "header X-Tokens", "json /max_tokens",
// for work also "requests" (each counts 1).
struct FieldSource {
  enum class Kind { None, Header, Json, Requests };
  Kind kind = Kind::None;
  std::string name;  // header name, or RFC 6901 pointer

  explicit operator bool() const { return kind != Kind::None; }
  bool operator==(const FieldSource&) const = default;
};

struct ApplicationConfig {
  std::string address;  // "127.0.0.1:8001" or "unix:/run/app.sock"
  Duration start_timeout = 10min;
  Duration stop_grace = 10s;
  Duration drain = 5s;
  std::string check_path;  // empty: connecting is enough
  Duration check_interval = 5s;
  Duration check_timeout = 5s;
  int check_failures = 3;
  Duration hang_after = 5min;
  double error_rate_max = 0.5;
  Duration error_window = 1min;
  int error_requests_min = 20;
  Action on_failed = Action::Reallocate;
  Duration failed_grace = 10s;
};

struct FrontConfig {
  std::string listen;  // empty: no front
  int queue_max = 100;
  int concurrency = 1;
  Duration timeout = 100s;
  std::string deadline_header = "X-Request-Timeout-Ms";
  uint64_t body_max = 64ull << 20;
  uint64_t buffer_max = 512ull << 20;
  Duration idle_timeout = 2min;
  uint64_t answer_buffer_max = 64ull << 20;
  uint64_t rate_min = 1000;  // bytes a second
  int connections_max = 1000;
  bool trust_priority = false;
  bool ready_while_busy = true;
  int refused_status = 429;
  int timeout_status = 504;
  std::vector<std::string> direct_paths;
  std::string health_path = "/health";
};

enum class BatchFormat { Json, Multipart };

struct BatchConfig {
  std::vector<std::string> paths;  // empty: no batching
  std::string target = "/batch";
  int size_max = 8;
  Duration wait_max = 50ms;
  double cost_max = 0;  // 0: by count only
  FieldSource cost;
  FieldSource key;
  BatchFormat format = BatchFormat::Json;
  bool retry_singly = true;
};

struct TransferCheckConfig {
  std::string url;             // empty: not checked
  double mbps_min = 0;         // megabits a second, 10^6; 0: measured and recorded only
  std::string method = "PUT";  // of an upload
};

struct BucketCheckConfig {
  std::string endpoint;  // "https://s3.example.com"; empty: not checked
  std::string bucket;
  std::string region = "auto";
  std::string access_key_id;
  std::string secret_access_key;
  std::string prefix = "mesclun-app-checks/";
  double download_mbps_min = 0;
  double upload_mbps_min = 0;
};

struct LatencyCheckConfig {
  std::string address;  // host:port
  double ms_max = 0;    // 0: recorded only
};

struct GpuCheckConfig {
  uint64_t vram_total_min = 0;  // bytes, as the others
  uint64_t vram_free_min = 0;
  std::string cuda_min;        // "12.8"
  double temperature_max = 0;  // degrees Celsius

  bool wanted() const {
    return vram_total_min > 0 || vram_free_min > 0 || !cuda_min.empty() || temperature_max > 0;
  }
};

struct WarmupConfig {
  int requests = 0;  // 0: none; the first is left out of the mean
  std::string method = "POST";
  std::string path = "/";
  std::string body;
  std::string body_file;
  std::string content_type = "application/json";
  Duration timeout = 5min;  // of one request
  Duration time_max{};      // mean of one; 0: no limit
  double rate_min = 0;      // work a second, by monitor.work; 0: no limit
};

struct ChecksConfig {
  int attempts = 3;
  Duration pause = 10s;
  std::string result_file = "/tmp/mesclun-app-checks.json";
  Action on_miss = Action::Reallocate;
  int nodes_left_min = 3;
  bool run_locally = false;
  Duration timeout = 30s;
  uint64_t bytes = 25'000'000;
  TransferCheckConfig download;
  TransferCheckConfig upload;
  BucketCheckConfig bucket;
  std::vector<LatencyCheckConfig> latency;
  int latency_samples = 5;
  GpuCheckConfig gpu;
  uint64_t memory_min = 0;
  uint64_t disk_min = 0;
  std::string disk_path = "/";
  WarmupConfig warmup;
};

struct MonitorQueueConfig {
  int start = 50;
  int slow = 50;
  int normal = 100;
  int fast = 200;
};

struct MonitorConfig {
  FieldSource work;  // none: no classes
  Duration window = 5min;
  int samples_min = 10;
  double load_min = 0.5;
  // Work a second; the defaults are the real-time factors of the published sample
  // (practice.md §4).
  double bad_below = 20;
  double slow_below = 40;
  double fast_above = 100;
  // Windows of one steady node in the demo differ by up to 30 %; an eighth, twice in a row, is rare.
  double margin = 0.12;
  Action on_bad = Action::Reallocate;
  MonitorQueueConfig queue;
  int concurrency_max = 0;  // 0: fixed
  Duration gpu_interval = 60s;
  double gpu_temperature_max = 80;  // degrees Celsius
  double vram_used_max = 0.95;      // share
  int gpu_readings = 3;             // in a row
  // Watched always, not only where somebody asked for it: servers of language models fill the
  // memory on purpose, and some cards run at 83 degrees for years.
  Action on_gpu = Action::Report;
};

struct MetadataConfig {
  std::string uri = "http://169.254.169.254:80";
  Duration timeout = 5s;
};

struct Config {
  ApplicationConfig application;
  FrontConfig front;
  BatchConfig batch;
  ChecksConfig checks;
  MonitorConfig monitor;
  std::string metrics_listen;
  MetadataConfig metadata;
  LogSettings log;
  Duration log_summary = 1min;
};

}  // namespace mesclun::companion
