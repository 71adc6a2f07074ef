// Health probes of a container group (api.md §4.5, lifecycle.md §4).
#pragma once

#include "base/clock.h"
#include "base/json.h"

namespace mesclun::api {

enum class ProbeKind { Liveness, Readiness, Startup };
enum class ProbeScheme { Http, Https };

struct ProbeHeader {
  std::string name;
  std::string value;
  bool operator==(const ProbeHeader&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProbeHeader, (), (name, value))

struct ProbeHttp {
  std::string path;
  int32_t port = 0;
  Nullable<ProbeScheme> scheme;
  std::vector<ProbeHeader> headers;
  bool operator==(const ProbeHttp&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProbeHttp, (), (path, port, scheme, headers))

struct ProbeTcp {
  int32_t port = 0;
  bool operator==(const ProbeTcp&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProbeTcp, (), (port))

struct ProbeExec {
  std::vector<std::string> command;
  bool operator==(const ProbeExec&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProbeExec, (), (command))

struct ProbeGrpc {
  int32_t port = 0;
  std::string service;
  bool operator==(const ProbeGrpc&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProbeGrpc, (), (port, service))

// Exactly one action. The numbers are all set once complete_probe() has run.
struct Probe {
  std::optional<int32_t> initial_delay_seconds;
  std::optional<int32_t> period_seconds;
  std::optional<int32_t> timeout_seconds;
  std::optional<int32_t> success_threshold;
  std::optional<int32_t> failure_threshold;
  std::optional<ProbeExec> exec;
  std::optional<ProbeHttp> http;
  std::optional<ProbeTcp> tcp;
  std::optional<ProbeGrpc> grpc;
  bool operator==(const Probe&) const = default;
};
BOOST_DESCRIBE_STRUCT(Probe, (),
                      (initial_delay_seconds, period_seconds, timeout_seconds, success_threshold,
                       failure_threshold, exec, http, tcp, grpc))

// Checks ranges and fills the defaults of the kind; an http probe gets one harmless header if it
// has none, because published clients refuse an empty list in our answers.
void complete_probe(Probe& probe, ProbeKind kind, int32_t failures_max, const JsonPath& path,
                    JsonProblems& problems);

}  // namespace mesclun::api

template <>
struct mesclun::JsonEnum<mesclun::api::ProbeScheme> {
  static constexpr std::pair<mesclun::api::ProbeScheme, std::string_view> kNames[] = {
      {mesclun::api::ProbeScheme::Http, "http"}, {mesclun::api::ProbeScheme::Https, "https"}};
};
