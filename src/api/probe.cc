#include "api/probe.h"

#include "api/checks.h"

namespace mesclun::api {

namespace {

struct ProbeDefaults {
  int32_t initial_delay;
  int32_t period;
  int32_t timeout;
  int32_t success;
  int32_t failure;
};

ProbeDefaults defaults_of(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Liveness:
      return {0, 10, 30, 1, 3};
    case ProbeKind::Readiness:
      return {0, 1, 1, 1, 3};
    case ProbeKind::Startup:
      return {0, 3, 10, 2, 15};
  }
  return {};
}

void complete(std::optional<int32_t>& value, int32_t fallback, int32_t min, int32_t max,
              const JsonPath& path, JsonProblems& problems) {
  if (!value) value = fallback;
  check_range(*value, min, max, path, problems);
}

void check_http(ProbeHttp& http, const JsonPath& path, JsonProblems& problems) {
  check_length(http.path, 1, 2048, path / "path", problems);
  for (char c : http.path) {
    if (c <= ' ' || c == 0x7f) {
      problems.add(path / "path", "must not contain spaces or control characters");
      break;
    }
  }
  check_range(http.port, 1, 65535, path / "port", problems);
  const JsonPath headers = path / "headers";
  check_count(http.headers.size(), 0, 50, headers, problems);
  for (size_t i = 0; i < http.headers.size(); ++i) {
    const JsonPath item{.parent = &headers, .index = static_cast<int64_t>(i)};
    const ProbeHeader& header = http.headers[i];
    check_length(header.name, 1, 256, item / "name", problems);
    check_length(header.value, 1, 1024, item / "value", problems);
    if (header.name.find_first_of("\r\n: ") != std::string::npos ||
        header.value.find_first_of("\r\n") != std::string::npos) {
      problems.add(item, "must be one header line");
    }
  }
  if (http.headers.empty()) http.headers.push_back({"Accept", "*/*"});
}

}  // namespace

void complete_probe(Probe& probe, ProbeKind kind, int32_t failures_max, const JsonPath& path,
                    JsonProblems& problems) {
  const ProbeDefaults d = defaults_of(kind);
  complete(probe.initial_delay_seconds, d.initial_delay, 0, 1200, path / "initial_delay_seconds",
           problems);
  complete(probe.period_seconds, d.period, 1, 120, path / "period_seconds", problems);
  complete(probe.timeout_seconds, d.timeout, 1, 60, path / "timeout_seconds", problems);
  complete(probe.success_threshold, d.success, 1, 10, path / "success_threshold", problems);
  complete(probe.failure_threshold, d.failure, 1, failures_max, path / "failure_threshold",
           problems);
  const int actions = probe.exec.has_value() + probe.http.has_value() + probe.tcp.has_value() +
                      probe.grpc.has_value();
  if (actions != 1) problems.add(path, "must have exactly one of exec, http, tcp and grpc");
  if (probe.exec) {
    const JsonPath exec = path / "exec";
    const JsonPath command = exec / "command";
    check_count(probe.exec->command.size(), 1, 100, command, problems);
    for (const std::string& item : probe.exec->command) {
      check_length(item, 1, 2048, command, problems);
    }
  }
  if (probe.http) check_http(*probe.http, path / "http", problems);
  if (probe.tcp) check_range(probe.tcp->port, 1, 65535, path / "tcp" / "port", problems);
  if (probe.grpc) {
    check_range(probe.grpc->port, 1, 65535, path / "grpc" / "port", problems);
    check_length(probe.grpc->service, 0, 1024, path / "grpc" / "service", problems);
  }
}

}  // namespace mesclun::api
