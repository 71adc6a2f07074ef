#include "companion/config_fields.h"

#include <array>

namespace mesclun::companion {

namespace {

using Words2 = std::array<std::string_view, 2>;

// In the order of Action.
constexpr std::array<std::string_view, 3> kActions = {"reallocate", "exit", "report"};
constexpr std::array<std::string_view, 5> kLevels = {"debug", "info", "warning", "error", "off"};
constexpr Words2 kLogFormats = {"text", "json"};
constexpr Words2 kBatchFormats = {"json", "multipart"};
constexpr uint64_t kGiB = uint64_t{1} << 30;

void visit(ApplicationConfig& c, FieldVisitor& v) {
  v.begin("application", "the program after --");
  v.text("address", c.address, "where it listens: 127.0.0.1:8001 or unix:/run/app.sock");
  v.duration("start_timeout", c.start_timeout, 1s, 24h, "from its start until it answers");
  v.duration("stop_grace", c.stop_grace, 0s, 1h, "from SIGTERM to SIGKILL");
  v.duration("drain", c.drain, 0s, 1h,
             "when told to stop, answer what is in flight first, for at most this long");
  v.duration(
      "hang_after", c.hang_after, 100ms, 24h,
      "with requests for so long, each to its own deadline or more, and no answer at all: failed");
  v.number("error_rate_max", c.error_rate_max, 0, 1,
           "share of 5xx answers and broken connections beyond which it is failed; 1: never");
  v.duration("error_window", c.error_window, 1s, 1h, "of the error rate");
  v.integer("error_requests_min", c.error_requests_min, 1, 1'000'000,
            "with fewer answers in the window the rate is not judged");
  v.choice("on_failed", c.on_failed, kActions, "what to do when it stays failed");
  v.duration("failed_grace", c.failed_grace, 0s, 1h, "how long it may be failed before that");
  v.begin("check", "its own health check");
  v.text("path", c.check_path,
         "GET of this path must answer below 500; empty: connecting is enough");
  v.duration("interval", c.check_interval, 100ms, 1h, "between two checks");
  v.duration("timeout", c.check_timeout, 10ms, 10min, "of one check");
  v.integer("failures", c.check_failures, 1, 1000,
            "failures in a row, while nothing is in flight, that make it failed");
  v.end();
  v.end();
}

void visit(FrontConfig& c, FieldVisitor& v) {
  v.begin("front", "the face towards callers: queue, refusals, health");
  v.text("listen", c.listen, "\":8000\" for IPv6 and IPv4, or HOST:PORT; empty: no front");
  v.integer("queue_max", c.queue_max, 1, 100'000, "requests accepted and not answered yet");
  v.integer("concurrency", c.concurrency, 1, 10'000,
            "requests, or batches, with the application at a time");
  v.duration("timeout", c.timeout, 1ms, 24h,
             "from acceptance to the first byte of the answer; the most that a caller can ask for");
  v.text("deadline_header", c.deadline_header,
         "header with a caller's own timeout in milliseconds");
  v.bytes("body_max", c.body_max, 1, 16 * kGiB, "of one request");
  v.bytes("buffer_max", c.buffer_max, 1, 256 * kGiB, "all bodies in memory together");
  v.duration("idle_timeout", c.idle_timeout, 100ms, 24h,
             "silence inside a streaming answer, and between requests of a connection");
  v.bytes("answer_buffer_max", c.answer_buffer_max, 0, 16 * kGiB,
          "of one answer that its caller reads more slowly than the application writes");
  v.bytes(
      "rate_min", c.rate_min, 0, kGiB,
      "a second: a caller who reads more slowly than this over idle_timeout is cut, and one who "
      "sends a body more slowly refused");
  v.integer("connections_max", c.connections_max, 1, 100'000, "from callers");
  v.boolean("trust_priority", c.trust_priority,
            "callers may put themselves before others (Priority: u=0 to u=2)");
  v.boolean("ready_while_busy", c.ready_while_busy,
            "a full queue is load and no ill health: /mesclun-app/ready stays 200");
  v.integer("refused_status", c.refused_status, 400, 599, "of a refusal because of load");
  v.integer("timeout_status", c.timeout_status, 400, 599, "of a request that missed its deadline");
  v.texts("direct_paths", c.direct_paths, "path prefixes that go to the application unqueued");
  v.text("health_path", c.health_path,
         "answered like /mesclun-app/health; empty: belongs to the application");
  v.end();
}

void visit(BatchConfig& c, FieldVisitor& v) {
  v.begin("batch", "several requests to the application as one");
  v.texts("paths", c.paths, "paths whose POST requests are batched; empty: no batching");
  v.text("target", c.target, "path of the application that takes batches");
  v.integer("size_max", c.size_max, 1, 10'000, "items of a batch");
  v.duration("wait_max", c.wait_max, 0s, 1h, "how long the oldest item waits for others");
  v.number("cost_max", c.cost_max, 0, 1e15, "sum of the costs of a batch; 0: only the count");
  v.source("cost", c.cost, false, "an item's cost, for example its tokens; without one it costs 1");
  v.source("key", c.key, false, "only requests of equal key share a batch");
  v.choice("format", c.format, kBatchFormats, "how the batch is sent");
  v.boolean("retry_singly", c.retry_singly,
            "when a batch fails as a whole, try each of its items once alone");
  v.end();
}

void visit(BucketCheckConfig& c, FieldVisitor& v) {
  v.begin("bucket", "up to an S3-compatible bucket and back");
  v.text("endpoint", c.endpoint, "https://HOST[:PORT]; empty: not checked");
  v.text("bucket", c.bucket, "its name");
  v.text("region", c.region, "of the signature");
  v.text("access_key_id", c.access_key_id, "who signs");
  v.text("secret_access_key", c.secret_access_key, "better in the environment than in a file");
  v.text("prefix", c.prefix, "of the object that is written, read and deleted");
  v.number("download_mbps_min", c.download_mbps_min, 0, 1e6, "megabits a second; 0: only recorded");
  v.number("upload_mbps_min", c.upload_mbps_min, 0, 1e6, "megabits a second; 0: only recorded");
  v.end();
}

void visit(WarmupConfig& c, FieldVisitor& v) {
  v.begin("warmup", "requests to the application before it serves");
  v.integer("requests", c.requests, 0, 1000, "how many; the first is left out of the mean");
  v.text("method", c.method, "of the request");
  v.text("path", c.path, "of the request");
  v.text("body", c.body, "of the request");
  v.text("body_file", c.body_file, "instead of body");
  v.text("content_type", c.content_type, "of the body");
  v.duration("timeout", c.timeout, 1ms, 24h, "of one request");
  v.duration("time_max", c.time_max, 0s, 24h, "mean time of one; 0: no limit");
  v.number("rate_min", c.rate_min, 0, 1e12, "work a second, counted by monitor.work; 0: no limit");
  v.end();
}

void visit(ChecksConfig& c, FieldVisitor& v) {
  v.begin("checks",
          "of the node, once an instance; what cannot be measured is not held against it");
  v.integer("attempts", c.attempts, 1, 100, "before a miss counts");
  v.duration("pause", c.pause, 0s, 1h, "between attempts");
  v.text("result_file", c.result_file, "remembers a pass for this instance; empty: nowhere");
  v.choice("on_miss", c.on_miss, kActions, "what to do about a miss");
  v.integer(
      "nodes_left_min", c.nodes_left_min, 0, 1'000'000,
      "with fewer other nodes left for this group ($MESCLUN_NODES_LEFT) none is asked for: a miss "
      "is reported only, a failed application is started again here");
  v.boolean("run_locally", c.run_locally, "check also where there is no $SALAD_MACHINE_ID");
  v.duration("timeout", c.timeout, 100ms, 1h, "of one transfer");
  v.bytes("bytes", c.bytes, 1000, 64 * kGiB, "to transfer");
  v.latencies("latency", c.latency, "list of {address: HOST:PORT, ms_max: N}; 0: only recorded");
  v.integer("latency_samples", c.latency_samples, 2, 100, "connects; the first is left out");
  v.bytes("memory_min", c.memory_min, 0, 4096 * kGiB, "0: not checked");
  v.bytes("disk_min", c.disk_min, 0, 65536 * kGiB, "free; 0: not checked");
  v.text("disk_path", c.disk_path, "where the disk space must be");
  v.begin("download", "from a URL");
  v.text("url", c.download.url, "empty: not checked");
  v.number("mbps_min", c.download.mbps_min, 0, 1e6, "megabits a second; 0: only recorded");
  v.end();
  v.begin("upload", "to a URL");
  v.text("url", c.upload.url, "empty: not checked");
  v.number("mbps_min", c.upload.mbps_min, 0, 1e6, "megabits a second; 0: only recorded");
  v.text("method", c.upload.method, "PUT or POST");
  v.end();
  visit(c.bucket, v);
  v.begin("gpu", "by nvidia-smi");
  v.bytes("vram_total_min", c.gpu.vram_total_min, 0, 4096 * kGiB, "0: not checked");
  v.bytes("vram_free_min", c.gpu.vram_free_min, 0, 4096 * kGiB, "0: not checked");
  v.text("cuda_min", c.gpu.cuda_min, "such as 12.8, in quotes; empty: not checked");
  v.number("temperature_max", c.gpu.temperature_max, 0, 200, "degrees Celsius; 0: not checked");
  v.end();
  visit(c.warmup, v);
  v.end();
}

void visit(MonitorConfig& c, FieldVisitor& v) {
  v.begin("monitor", "of the node's speed and its GPU, while it serves");
  v.source("work", c.work, true,
           "work done by a request, from its answer: 'header X-Audio-Seconds', 'json "
           "/usage/completion_tokens' or 'requests'; empty: speed is not watched");
  v.duration("window", c.window, 1s, 24h, "of one judgement");
  v.integer("samples_min", c.samples_min, 1, 1'000'000, "requests in a window that is judged");
  v.number(
      "load_min", c.load_min, 0, 1,
      "a window in which fewer than this share of the concurrency was used is not called slow");
  v.number("bad_below", c.bad_below, 0, 1e12, "work a busy second");
  v.number("slow_below", c.slow_below, 0, 1e12, "work a busy second");
  v.number("fast_above", c.fast_above, 0, 1e12, "work a busy second");
  v.number("margin", c.margin, 0, 1,
           "the class changes when two windows in a row are past a limit by this share, or one by "
           "twice as much; 0: at once");
  v.choice("on_bad", c.on_bad, kActions, "what to do about a bad node");
  v.integer("concurrency_max", c.concurrency_max, 0, 10'000,
            "a fast window adds one up to this, a slow one takes one; 0: front.concurrency stays");
  v.duration("gpu_interval", c.gpu_interval, 1s, 1h, "between readings of the GPU");
  v.number("gpu_temperature_max", c.gpu_temperature_max, 0, 200, "degrees Celsius; 0: no limit");
  v.number("vram_used_max", c.vram_used_max, 0, 1, "share of the memory; 0: no limit");
  v.integer("gpu_readings", c.gpu_readings, 1, 1000, "in a row over a limit");
  v.choice("on_gpu", c.on_gpu, kActions, "what to do about them");
  v.begin("queue", "front.queue_max by class of the node");
  v.integer("start", c.queue.start, 1, 100'000, "before the first judgement");
  v.integer("slow", c.queue.slow, 1, 100'000, "");
  v.integer("normal", c.queue.normal, 1, 100'000, "");
  v.integer("fast", c.queue.fast, 1, 100'000, "");
  v.end();
  v.end();
}

}  // namespace

void visit_fields(Config& config, FieldVisitor& v) {
  visit(config.application, v);
  visit(config.front, v);
  visit(config.batch, v);
  visit(config.checks, v);
  visit(config.monitor, v);
  v.begin("metrics", "Prometheus; also at /mesclun-app/metrics of the front");
  v.text("listen", config.metrics_listen, "a listener for metrics and health alone; empty: none");
  v.end();
  v.begin("metadata", "the platform's metadata service");
  v.text("uri", config.metadata.uri, "http://HOST:PORT; also $SALAD_METADATA_URI");
  v.duration("timeout", config.metadata.timeout, 10ms, 5min, "of one call");
  v.end();
  v.begin("log", "of the companion, to standard error");
  v.choice("level", config.log.level, kLevels, "");
  v.choice("format", config.log.format, kLogFormats, "");
  v.duration("summary", config.log_summary, 0s, 24h, "between summary lines; 0: none");
  v.end();
}

Result<FieldSource> parse_field_source(std::string_view text, bool requests_too) {
  using Kind = FieldSource::Kind;
  if (text.empty()) return FieldSource{};
  if (requests_too && text == "requests") return FieldSource{Kind::Requests, {}};
  const size_t space = text.find(' ');
  if (space != std::string_view::npos) {
    const std::string_view name = text.substr(space + 1);
    if (text.substr(0, space) == "header" && !name.empty() && name.find(' ') == name.npos) {
      return FieldSource{Kind::Header, std::string(name)};
    }
    if (text.substr(0, space) == "json" && name.starts_with('/')) {
      return FieldSource{Kind::Json, std::string(name)};
    }
  }
  return Error::invalid(fmt::format("must be \"header NAME\"{} \"json /POINTER\"{}",
                                    requests_too ? "," : " or",
                                    requests_too ? " or \"requests\"" : ""));
}

std::string to_string(const FieldSource& source) {
  switch (source.kind) {
    case FieldSource::Kind::None:
      return "";
    case FieldSource::Kind::Header:
      return "header " + source.name;
    case FieldSource::Kind::Json:
      return "json " + source.name;
    case FieldSource::Kind::Requests:
      return "requests";
  }
  return "";
}

std::string environment_name(std::string_view path) {
  std::string name = "MESCLUN_APP_";
  for (char c : path) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

}  // namespace mesclun::companion
