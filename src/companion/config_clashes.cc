#include "companion/config_clashes.h"

#include "base/socket_conn.h"
#include "base/units.h"

namespace mesclun::companion {

namespace {

void check_front(const Config& config, std::vector<ConfigClash>& out) {
  const FrontConfig& front = config.front;
  if (front.listen.empty()) {
    if (!config.batch.paths.empty()) {
      out.push_back({"batch.paths", "needs front.listen: the front forms the batches"});
    }
    if (config.monitor.work) {
      out.push_back({"monitor.work", "needs front.listen: work is counted at the front"});
    }
    return;
  }
  const std::string listen = front.listen.starts_with(':') ? "[::]" + front.listen : front.listen;
  const Result<Endpoint> own = parse_endpoint(listen);
  if (!own) {
    out.push_back({"front.listen", "must be \":PORT\" or \"HOST:PORT\""});
    return;
  }
  if (config.application.address.empty()) {
    out.push_back({"application.address",
                   "is missing: the front must know where the application listens, such as "
                   "127.0.0.1:8001"});
    return;
  }
  const Result<Endpoint> application = parse_endpoint(config.application.address);
  if (application && !application->is_unix && !own->is_unix && own->port != 0 &&
      application->port == own->port) {
    out.push_back({"application.address",
                   fmt::format("has the port of front.listen ({}): let the application listen on "
                               "another one",
                               own->port)});
  }
  if (front.body_max > front.buffer_max) {
    out.push_back({"front.body_max",
                   fmt::format("({}) is larger than front.buffer_max ({})",
                               format_bytes(front.body_max), format_bytes(front.buffer_max))});
  }
}

void check_batch(const Config& config, std::vector<ConfigClash>& out) {
  const BatchConfig& batch = config.batch;
  if (batch.paths.empty()) return;
  if (batch.size_max > config.front.queue_max) {
    out.push_back({"batch.size_max",
                   fmt::format("({}) is larger than front.queue_max ({}): no batch could get full",
                               batch.size_max, config.front.queue_max)});
  }
  if (batch.wait_max >= config.front.timeout) {
    out.push_back(
        {"batch.wait_max",
         fmt::format("({}) is not less than front.timeout ({}): requests would miss their "
                     "deadline waiting",
                     format_duration(batch.wait_max), format_duration(config.front.timeout))});
  }
  if (batch.cost_max > 0 && !batch.cost) {
    out.push_back({"batch.cost_max", "needs batch.cost: where an item's cost stands"});
  }
  for (const std::string& path : batch.paths) {
    if (!path.starts_with('/')) out.push_back({"batch.paths", "must begin with /"});
    if (path == config.front.health_path) {
      out.push_back({"batch.paths", fmt::format("names {}, which is front.health_path", path)});
    }
  }
  if (!batch.target.starts_with('/')) out.push_back({"batch.target", "must begin with /"});
}

void check_monitor(const Config& config, std::vector<ConfigClash>& out) {
  const MonitorConfig& monitor = config.monitor;
  if (!monitor.work) return;
  if (!(monitor.bad_below <= monitor.slow_below && monitor.slow_below <= monitor.fast_above)) {
    out.push_back(
        {"monitor.slow_below", fmt::format("must lie between bad_below ({}) and fast_above ({})",
                                           monitor.bad_below, monitor.fast_above)});
  }
  if (monitor.concurrency_max > 0 && monitor.concurrency_max < config.front.concurrency) {
    out.push_back({"monitor.concurrency_max",
                   fmt::format("({}) is less than front.concurrency ({})", monitor.concurrency_max,
                               config.front.concurrency)});
  }
}

void check_checks(const Config& config, std::vector<ConfigClash>& out) {
  const ChecksConfig& checks = config.checks;
  const BucketCheckConfig& bucket = checks.bucket;
  if (!bucket.endpoint.empty() &&
      (bucket.bucket.empty() || bucket.access_key_id.empty() || bucket.secret_access_key.empty())) {
    out.push_back({"checks.bucket.endpoint",
                   "needs checks.bucket.bucket, access_key_id and secret_access_key too"});
  }
  if (checks.warmup.requests > 0) {
    if (config.application.address.empty()) {
      out.push_back({"checks.warmup.requests", "needs application.address to send them to"});
    }
    if (checks.warmup.requests == 1 &&
        (checks.warmup.time_max > 0s || checks.warmup.rate_min > 0)) {
      out.push_back({"checks.warmup.requests", "must be 2 or more: the first is left out"});
    }
    if (!checks.warmup.body.empty() && !checks.warmup.body_file.empty()) {
      out.push_back({"checks.warmup.body_file", "clashes with checks.warmup.body: give one"});
    }
    if (checks.warmup.rate_min > 0 && !config.monitor.work) {
      out.push_back({"checks.warmup.rate_min", "needs monitor.work: where work is counted"});
    }
  }
  if (checks.upload.method != "PUT" && checks.upload.method != "POST") {
    out.push_back({"checks.upload.method", "must be PUT or POST"});
  }
}

}  // namespace

std::vector<ConfigClash> find_clashes(const Config& config) {
  std::vector<ConfigClash> out;
  if (!config.application.address.empty() && !parse_endpoint(config.application.address)) {
    out.push_back({"application.address", "must be HOST:PORT or unix:/PATH"});
  }
  check_front(config, out);
  check_batch(config, out);
  check_monitor(config, out);
  check_checks(config, out);
  return out;
}

}  // namespace mesclun::companion
