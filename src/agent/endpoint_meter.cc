#include "agent/endpoint_meter.h"

#include <fmt/format.h>

#include "api/names.h"
#include "base/race.h"
#include "http/client.h"

namespace mesclun::agent {

namespace {

constexpr int kConnections = 3;
constexpr Duration kConnectMax = 5s;
constexpr Duration kTransferMax = 10s;
constexpr uint64_t kTransferBytesMax = 32 * 1024 * 1024;
constexpr uint64_t kTransferBytesMin = 64 * 1024;

// The fastest of a few: what comes on top of the way itself is somebody's load.
Task<Result<Duration>> connect_time(Endpoint endpoint, Clock& clock) {
  Duration best = Duration::max();
  for (int i = 0; i < kConnections; ++i) {
    const TimePoint begun = clock.now();
    CO_TRY(const ConnPtr conn, co_await dial(endpoint, clock, kConnectMax));
    best = std::min(best, clock.now() - begun);
  }
  co_return best;
}

struct Transfer {
  uint64_t bytes = 0;
  Duration elapsed{};
};

// Until the body ends, or what it may be at most has come.
Task<Result<>> read_body(Clock& clock, HttpReader& answer, Transfer& transfer) {
  const TimePoint begun = clock.now();
  std::vector<std::string_view> pieces;
  bool ended = false;
  while (!ended && transfer.bytes < kTransferBytesMax) {
    pieces.clear();
    CO_TRY(ended, co_await answer.read_body(pieces));
    for (const std::string_view piece : pieces) transfer.bytes += piece.size();
    transfer.elapsed = clock.now() - begun;
  }
  co_return Result<>();
}

Task<Result<Transfer>> transfer_from(HttpUrl url, Clock& clock) {
  CO_TRY(const ConnPtr conn, co_await open_http(url, clock, kConnectMax));
  conn->set_deadline(clock.now() + kConnectMax);
  ConnInput input(*conn);
  HttpReader answer = HttpReader::response(input, 64 * 1024, false);
  HttpCall call{.target = url.target};
  call.headers.add("User-Agent", "mesclun-agent/1");
  call.headers.add("Connection", "close");
  CO_TRY_DO(co_await http_begin(*conn, call, url.authority, answer));
  const int status = answer.response_head().status;
  if (status != 200) co_return Error::unavailable(fmt::format("it answers with {}", status));
  conn->set_deadline(clock.now() + kTransferMax);
  Transfer transfer;
  const Result<> read = co_await read_body(clock, answer, transfer);
  // Time is up: what came until then counts.
  if (!read && read.code() != ErrorCode::DeadlineExceeded) co_return read.error();
  co_return transfer;
}

}  // namespace

Result<MeasuredEndpoint> parse_measured_endpoint(std::string_view text) {
  const size_t end = text.find('=');
  if (end == std::string_view::npos || end == 0) {
    return Error::invalid(fmt::format("'{}' is not NAME=URL", text));
  }
  MeasuredEndpoint endpoint{.name = std::string(text.substr(0, end)), .url = {}};
  if (!api::is_name(endpoint.name)) {
    return Error::invalid(fmt::format("'{}': {}", endpoint.name, api::kNameRule));
  }
  TRY(endpoint.url, parse_http_url(text.substr(end + 1)));
  return endpoint;
}

std::optional<double> megabits_per_second(uint64_t bytes, Duration elapsed) {
  if (bytes < kTransferBytesMin || elapsed <= Duration::zero()) return std::nullopt;
  return static_cast<double>(bytes) * 8 / 1e6 / to_seconds(elapsed);
}

EndpointMeter::EndpointMeter(Clock& clock, std::vector<MeasuredEndpoint> endpoints, Duration period)
    : clock_(clock),
      endpoints_(std::move(endpoints)),
      period_(period),
      readings_(endpoints_.size()) {}

Task<Result<>> EndpointMeter::run() {
  while (true) {
    for (size_t i = 0; i < endpoints_.size(); ++i) {
      CO_TRY(readings_[i], co_await measure(endpoints_[i]));
    }
    CO_TRY_DO(co_await clock_.sleep_for(period_));
  }
}

// Fails when it is cancelled; what is wrong with the endpoint is in the reading.
Task<Result<link::EndpointReading>> EndpointMeter::measure(MeasuredEndpoint endpoint) {
  link::EndpointReading reading{.name = endpoint.name};
  const Result<Duration> latency = co_await connect_time(endpoint.url.endpoint, clock_);
  if (latency) {
    reading.latency_ms = to_seconds(*latency) * 1000;
    const Result<Transfer> transfer = co_await transfer_from(endpoint.url, clock_);
    if (transfer) {
      reading.mbit_per_s = megabits_per_second(transfer->bytes, transfer->elapsed);
    } else if (transfer.code() == ErrorCode::Cancelled) {
      co_return transfer.error();
    } else {
      reading.problem = transfer.error().message;
    }
  } else if (latency.code() == ErrorCode::Cancelled) {
    co_return latency.error();
  } else {
    reading.problem = latency.error().message;
  }
  reading.time = to_unix_nanos(clock_.wall_now());
  co_return reading;
}

std::vector<link::EndpointReading> EndpointMeter::readings() const {
  std::vector<link::EndpointReading> out;
  for (const auto& reading : readings_) {
    if (reading) out.push_back(*reading);
  }
  return out;
}

}  // namespace mesclun::agent
