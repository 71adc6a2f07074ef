// The flags of TLS towards clients.
#pragma once

#include <optional>

#include "base/command_line.h"
#include "gateway/tls_door.h"

namespace mesclun::gateway {

struct TlsSettings {
  Endpoint listen;  // no host: off
  std::vector<std::string> certificates;
  std::vector<std::string> keys;
  int https_port = 0;  // 0: that of `listen`
  TlsDoorLimits door;

  bool on() const { return !listen.host.empty(); }
  uint16_t port_for_redirects(uint16_t bound) const {
    return https_port == 0 ? bound : static_cast<uint16_t>(https_port);
  }
};

void add_tls_settings(CommandLine& line, TlsSettings& settings);
// InvalidArgument: the flags do not fit together.
Result<std::vector<CertificateFile>> certificate_files(const TlsSettings& settings);

}  // namespace mesclun::gateway
