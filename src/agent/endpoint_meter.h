// How far the endpoints are that the machine's owner named: latency and throughput, measured now and
// then, for people to see.
#pragma once

#include "base/clock.h"
#include "http/url.h"
#include "link/messages.h"

namespace mesclun::agent {

struct MeasuredEndpoint {
  std::string name;
  HttpUrl url;
};
inline constexpr size_t kMeasuredEndpointsMax = 8;
// "NAME=URL". InvalidArgument, with what is wrong.
Result<MeasuredEndpoint> parse_measured_endpoint(std::string_view text);

// Of `bytes` that came within `elapsed`; nothing where they are too few to tell: below 64 KiB mostly
// the first window of a connection is measured.
std::optional<double> megabits_per_second(uint64_t bytes, Duration elapsed);

// Runs on:  the agent's loop.
// Cost:     of each endpoint a period three connections, and one GET of at most 32 MiB and 10 s.
// Lifetime: the clock outlives it.
class EndpointMeter {
 public:
  EndpointMeter(Clock& clock, std::vector<MeasuredEndpoint> endpoints, Duration period);

  // Measures one after the other, again and again until cancelled.
  Task<Result<>> run();
  // Those that were measured so far, in the order in which they were named.
  std::vector<link::EndpointReading> readings() const;

 private:
  Task<Result<link::EndpointReading>> measure(MeasuredEndpoint endpoint);

  Clock& clock_;
  const std::vector<MeasuredEndpoint> endpoints_;
  const Duration period_;
  std::vector<std::optional<link::EndpointReading>> readings_;  // by endpoint
};

}  // namespace mesclun::agent
