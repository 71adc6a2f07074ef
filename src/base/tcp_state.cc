#include "base/tcp_state.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace mesclun {

std::optional<TcpState> read_tcp_state(int descriptor) {
  constexpr uint8_t kClose = 7;  // TCP_CLOSE
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) {
    return std::nullopt;
  }
  return TcpState{.over = info.tcpi_state == kClose, .acknowledged = info.tcpi_bytes_acked};
}

}  // namespace mesclun
