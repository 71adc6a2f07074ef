#include "agent/probe_runner.h"

#include <fmt/format.h>

#include "agent/grpc_probe.h"
#include "base/race.h"
#include "base/tls_conn.h"
#include "http/client.h"

namespace mesclun::agent {

namespace {

// The name in a Host header, without a port; a certificate that is chosen by name is chosen by it.
std::string server_name(const HttpCall& call) {
  const std::string host(call.headers.find("Host").value_or("localhost"));
  const Result<Endpoint> endpoint = parse_endpoint(host);
  return endpoint ? endpoint->host : host;
}

Task<Result<ProbeOutcome>> run_http(runtime::ContainerDriver& driver, Clock& clock,
                                    std::string instance_id, api::ProbeHttp http, bool ipv6_first,
                                    Duration limit) {
  const auto port = static_cast<uint16_t>(http.port);
  CO_TRY(ConnPtr conn, co_await driver.connect(std::move(instance_id), port, ipv6_first, limit));
  HttpCall call;
  call.target = http.path.starts_with('/') ? http.path : "/" + http.path;
  for (const api::ProbeHeader& header : http.headers) call.headers.add(header.name, header.value);
  call.headers.set("Connection", "close");
  if (!call.headers.has("User-Agent")) call.headers.add("User-Agent", "mesclun-probe/1");
  const std::string host =
      ipv6_first ? fmt::format("[::1]:{}", port) : fmt::format("127.0.0.1:{}", port);
  // No certificate is checked, as in Kubernetes: the peer is the port.
  if (http.scheme.value_or(api::ProbeScheme::Http) == api::ProbeScheme::Https) {
    CO_TRY(conn, co_await tls_client_unchecked(std::move(conn), server_name(call), clock, limit));
  }
  // It decides, whatever page comes with it, and however large.
  CO_TRY(const int status, co_await http_status_of(*conn, std::move(call), host));
  ProbeOutcome outcome;
  outcome.passed = status >= 200 && status < 400;
  outcome.detail = fmt::format("HTTP {} from :{}{}", status, port, http.path);
  co_return outcome;
}

Task<Result<ProbeOutcome>> run_tcp(runtime::ContainerDriver& driver, std::string instance_id,
                                   api::ProbeTcp tcp, bool ipv6_first, Duration limit) {
  const auto port = static_cast<uint16_t>(tcp.port);
  CO_TRY(const ConnPtr conn,
         co_await driver.connect(std::move(instance_id), port, ipv6_first, limit));
  ProbeOutcome outcome{true, fmt::format("port {} accepts connections", port)};
  co_return outcome;
}

Task<Result<ProbeOutcome>> run_grpc(runtime::ContainerDriver& driver, std::string instance_id,
                                    api::ProbeGrpc grpc, bool ipv6_first, Duration limit) {
  const auto port = static_cast<uint16_t>(grpc.port);
  CO_TRY(const ConnPtr conn,
         co_await driver.connect(std::move(instance_id), port, ipv6_first, limit));
  CO_TRY(const std::string said,
         co_await grpc_health_check(*conn, fmt::format("localhost:{}", port), grpc.service));
  ProbeOutcome outcome{said == "SERVING", fmt::format("gRPC health {} from :{}", said, port)};
  co_return outcome;
}

Task<Result<ProbeOutcome>> run_exec(runtime::ContainerDriver& driver, std::string instance_id,
                                    api::ProbeExec exec, Duration limit) {
  const std::string program = exec.command.empty() ? std::string() : exec.command.front();
  CO_TRY(const int32_t status,
         co_await driver.exec(std::move(instance_id), std::move(exec.command), limit));
  ProbeOutcome outcome{status == 0, fmt::format("{} exited with {}", program, status)};
  co_return outcome;
}

Task<Result<ProbeOutcome>> run_action(runtime::ContainerDriver& driver, Clock& clock,
                                      std::string instance_id, api::Probe probe, bool ipv6_first,
                                      Duration limit) {
  if (probe.http) {
    co_return co_await run_http(driver, clock, std::move(instance_id), *probe.http, ipv6_first,
                                limit);
  }
  if (probe.tcp) {
    co_return co_await run_tcp(driver, std::move(instance_id), *probe.tcp, ipv6_first, limit);
  }
  if (probe.grpc) {
    co_return co_await run_grpc(driver, std::move(instance_id), *probe.grpc, ipv6_first, limit);
  }
  if (probe.exec) {
    co_return co_await run_exec(driver, std::move(instance_id), *probe.exec, limit);
  }
  // Such a run is not begun: cannot_run().
  co_return Error{ErrorCode::Unimplemented, "this agent cannot carry out that kind of probe"};
}

}  // namespace

Task<Result<ProbeOutcome>> run_probe(runtime::ContainerDriver& driver, Clock& clock,
                                     std::string instance_id, api::Probe probe, bool ipv6_first) {
  const Duration limit = std::chrono::seconds(probe.timeout_seconds.value_or(1));
  Result<ProbeOutcome> outcome = co_await within(
      clock, limit,
      run_action(driver, clock, std::move(instance_id), std::move(probe), ipv6_first, limit));
  if (outcome || outcome.code() == ErrorCode::Cancelled) co_return outcome;
  if (outcome.code() == ErrorCode::DeadlineExceeded) {
    ProbeOutcome late{false, fmt::format("no answer within {:.0f} s", to_seconds(limit))};
    co_return late;
  }
  ProbeOutcome failed{false, outcome.error().message};
  co_return failed;
}

}  // namespace mesclun::agent
