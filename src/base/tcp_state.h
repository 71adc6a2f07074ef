// What the kernel knows of a TCP connection. Apart, because the header that tells all of it cannot be
// included beside Asio's.
#pragma once

#include <cstdint>
#include <optional>

namespace mesclun {

struct TcpState {
  bool over = false;          // neither side can send any more
  uint64_t acknowledged = 0;  // bytes, by the peer's machine; on the side that connects one more
};

// Nothing for what is no TCP connection.
std::optional<TcpState> read_tcp_state(int descriptor);

}  // namespace mesclun
