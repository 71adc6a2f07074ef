// Any bytes as frames; what is understood must encode to the same bytes. Then the same bytes as the
// peer of a real tunnel, on both sides.
#include <boost/asio/io_context.hpp>

#include "base/scope.h"
#include "base/virtual_clock.h"
#include "link/tunnel.h"

using namespace mesclun;
using namespace mesclun::link;

namespace {

void round_trip(std::string_view bytes) {
  Frame frame;
  while (true) {
    const std::string_view before = bytes;
    const auto whole = take_frame(bytes, frame);
    if (!whole || !*whole) return;
    std::string again;
    append_frame(frame.type, frame.stream, frame.payload, again);
    if (again != before.substr(0, again.size())) __builtin_trap();
    if (frame.type == FrameType::Open) std::ignore = read_open(frame.payload);
    if (frame.type == FrameType::Window) std::ignore = read_window(frame.payload);
    if (frame.type == FrameType::Reset) std::ignore = read_reset(frame.payload);
  }
}

Task<Result<>> quietly(Task<Result<>> task) {
  std::ignore = co_await std::move(task);
  co_return Result<>();
}

Task<Result<>> speak(Conn& conn, std::string bytes) {
  std::ignore = co_await conn.write(bytes);
  co_return Result<>();
}

Task<Result<ConnPtr>> connect_nowhere(TunnelTarget) {
  co_return Error::unavailable("nowhere");
}

Task<Result<>> open_one(Tunnel& tunnel) {
  TunnelTarget target{.instance_id = "i", .port = 1};
  Result<TunnelStreamPtr> stream = co_await tunnel.open(std::move(target), 1s);
  if (!stream) co_return Result<>();
  std::string bytes;
  (*stream)->set_deadline(TimePoint::max());
  while (true) {
    bytes.clear();
    const Result<bool> more = co_await (*stream)->read_all(bytes);
    if (!more || !*more) co_return Result<>();
  }
}

void as_peer(std::string_view bytes, bool opens) {
  asio::io_context io;
  VirtualClock clock(io);
  auto [ours, theirs] = memory_conn_pair(io.get_executor(), clock, 1 << 20);
  auto tunnel = opens
                    ? Tunnel::opening(io.get_executor(), std::move(ours), clock)
                    : Tunnel::accepting(io.get_executor(), std::move(ours), clock, connect_nowhere);
  Scope scope(io.get_executor(), "fuzz");
  scope.spawn(quietly(tunnel->run()));
  if (opens) scope.spawn(open_one(*tunnel));
  scope.spawn(speak(*theirs, std::string(bytes)));
  clock.run_for(300ms);
  theirs->close();
  tunnel->close();
  clock.run_while_not([&] { return scope.running() == 0; }, 60s);
  clock.run_ready();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  round_trip(bytes);
  as_peer(bytes, true);
  as_peer(bytes, false);
  return 0;
}
