#include "companion/transfer_meter.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/race.h"
#include "http/reader.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr size_t kPieceBytes = 64 * 1024;

// The kernel takes bytes in lumps: it fills its buffer, and wakes us when a third has gone.
struct Burst {
  TimePoint begin;
  TimePoint end;
  uint64_t sent = 0;  // until then, from the start
};
constexpr Duration kBurst = 50ms;

// What a transfer has come to. It lives outside the tasks, so a cut one leaves its numbers behind.
struct Progress {
  std::optional<TimePoint> start;  // of the body
  TimePoint last{};                // the newest byte
  uint64_t bytes = 0;
  int status = 0;
  std::string location;
  std::vector<Burst> bursts;  // of an upload
};

double megabits(uint64_t bytes, Duration time) {
  return static_cast<double>(bytes) * 8 / 1e6 / to_seconds(std::max<Duration>(time, 1ms));
}

Error status_error(const Progress& progress) {
  if (progress.status / 100 == 3) {
    return Error::unavailable(
        fmt::format("the server answered {} and points to '{}'; name that "
                    "address instead",
                    progress.status, progress.location));
  }
  return Error::unavailable(fmt::format("the server answered {}", progress.status));
}

Task<Result<>> write_request(Conn& conn, const HttpCall& call, const HttpUrl& url) {
  RequestHead head{.method = call.method, .target = call.target, .headers = call.headers};
  if (!head.headers.has("Host")) head.headers.set("Host", url.authority);
  if (!head.headers.has("User-Agent")) head.headers.set("User-Agent", "mesclun-app");
  head.headers.set("Connection", "close");
  std::string text;
  write_head(head, text);
  co_return co_await conn.write(text);
}

Task<Result<>> read_head(HttpReader& reader, Progress& progress) {
  CO_TRY(const bool whole, co_await reader.read_final_head());
  if (!whole) co_return Error::unavailable("the server closed the connection without an answer");
  progress.status = reader.response_head().status;
  progress.location = reader.response_head().headers.find("Location").value_or("");
  co_return Result<>();
}

Task<Result<>> download(HttpUrl url, HttpCall call, uint64_t bytes, Clock& clock, Duration limit,
                        Progress& progress) {
  CO_TRY(const ConnPtr conn, co_await open_http(url, clock, limit));
  conn->set_deadline(TimePoint::max());  // the caller cuts the whole
  CO_TRY_DO(co_await write_request(*conn, call, url));
  ConnInput input(*conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, false);
  CO_TRY_DO(co_await read_head(reader, progress));
  if (progress.status != 200 && progress.status != 206) co_return status_error(progress);
  progress.start = progress.last = clock.now();
  std::vector<std::string_view> pieces;
  for (bool ended = false; !ended && progress.bytes < bytes;) {
    pieces.clear();
    CO_TRY(ended, co_await reader.read_body(pieces));
    for (const std::string_view piece : pieces) progress.bytes += piece.size();
    if (!pieces.empty()) progress.last = clock.now();
  }
  co_return Result<>();
}

Task<void> send_body(Conn& conn, uint64_t bytes, Clock& clock, Progress& progress) {
  // No two pieces of a few bytes alike, so that nothing on the way compresses it away.
  std::string piece(kPieceBytes, '\0');
  uint32_t state = 1;
  for (char& c : piece) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  while (progress.bytes < bytes && progress.status == 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes - progress.bytes));
    // The reader tells why it failed.
    if (!co_await conn.write(std::string_view(piece).substr(0, n))) co_return;
    progress.bytes += n;
    progress.last = clock.now();
    if (progress.bursts.empty() || progress.last - progress.bursts.back().begin >= kBurst) {
      progress.bursts.push_back({.begin = progress.last});
    }
    progress.bursts.back().end = progress.last;
    progress.bursts.back().sent = progress.bytes;
  }
}

Task<void> read_answer(Conn& conn, uint64_t bytes, Clock& clock, Progress& progress,
                       Result<>& result) {
  ConnInput input(conn);
  HttpReader reader = HttpReader::response(input, kHeadBytesMax, false);
  result = co_await read_head(reader, progress);
  if (result) {
    progress.last = clock.now();
    if (progress.status / 100 != 2) {
      result = status_error(progress);
    } else if (progress.bytes < bytes) {
      result = Error::unavailable("the server answered before it had read everything");
    }
  }
  // Nobody reads the rest: the sender must not wait for it.
  if (!result && result.code() != ErrorCode::Cancelled) conn.close();
}

Task<Result<>> upload(HttpUrl url, HttpCall call, uint64_t bytes, Clock& clock, Duration limit,
                      Progress& progress) {
  CO_TRY(const ConnPtr conn, co_await open_http(url, clock, limit));
  conn->set_deadline(TimePoint::max());
  call.headers.set("Content-Length", std::to_string(bytes));
  CO_TRY_DO(co_await write_request(*conn, call, url));
  progress.start = progress.last = clock.now();
  Result<> result;
  co_await join(send_body(*conn, bytes, clock, progress),
                read_answer(*conn, bytes, clock, progress, result));
  co_return result;
}

// At the end of every burst the buffers are full, so between two ends as much left as was taken.
// Looked at from `middle` on, when they have long been full for the first time. Nothing: they
// drained so slowly that no burst followed.
std::optional<double> drained_mbps(const std::vector<Burst>& bursts, TimePoint middle) {
  if (bursts.empty()) return std::nullopt;
  const auto after = std::ranges::find_if(bursts, [&](const Burst& b) { return b.end > middle; });
  const Burst& first = after == bursts.begin() ? *after : *std::prev(after);
  const Burst& last = bursts.back();
  if (last.end - first.end < kBurst) return std::nullopt;
  return megabits(last.sent - first.sent, last.end - first.end);
}

// A transfer that ended by itself, or one that the limit cut after its first bytes.
Result<TransferRate> rate_of(const Result<>& ended, const Progress& progress, Duration limit) {
  const bool cut = !ended && ended.code() == ErrorCode::DeadlineExceeded;
  if (!ended && !cut) return ended.error();
  if (cut && (progress.bytes == 0 || !progress.start)) {
    return Error::deadline(fmt::format("no byte within {} ms", to_millis(limit)));
  }
  TransferRate rate{
      .bytes = progress.bytes, .time = progress.last - *progress.start, .complete = !cut};
  rate.mbps = megabits(rate.bytes, rate.time);
  return rate;
}

}  // namespace

Task<Result<TransferRate>> measure_download(HttpUrl url, HttpCall call, uint64_t bytes,
                                            Clock& clock, Duration limit) {
  Progress progress;
  const Result<> ended = co_await within(
      clock, limit, download(std::move(url), std::move(call), bytes, clock, limit, progress));
  CO_TRY(TransferRate rate, rate_of(ended, progress, limit));
  if (rate.complete && rate.bytes < bytes / 10) {
    co_return Error::unavailable(
        fmt::format("it has only {} bytes, too few to measure", rate.bytes));
  }
  if (!rate.complete) {
    // A stall at the end counts.
    rate.time = clock.now() - *progress.start;
    rate.mbps = megabits(rate.bytes, rate.time);
  }
  co_return rate;
}

Task<Result<TransferRate>> measure_upload(HttpUrl url, HttpCall call, uint64_t bytes, Clock& clock,
                                          Duration limit) {
  Progress progress;
  const Result<> ended = co_await within(
      clock, limit, upload(std::move(url), std::move(call), bytes, clock, limit, progress));
  CO_TRY(TransferRate rate, rate_of(ended, progress, limit));
  if (rate.complete) co_return rate;
  if (rate.bytes >= bytes) {
    // All of it is in buffers on the way, which tells nothing about the way.
    co_return Error::deadline(fmt::format("no answer within {} ms", to_millis(limit)));
  }
  rate.time = clock.now() - *progress.start;
  rate.mbps = drained_mbps(progress.bursts, *progress.start + rate.time / 2)
                  .value_or(megabits(rate.bytes, rate.time));
  co_return rate;
}

}  // namespace mesclun::companion
