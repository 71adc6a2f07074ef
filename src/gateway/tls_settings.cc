#include "gateway/tls_settings.h"

namespace mesclun::gateway {

void add_tls_settings(CommandLine& line, TlsSettings& settings) {
  add_setting(line, "--tls", settings.listen,
              "Where clients connect over TLS; then --listen answers 308 to https; default: off");
  add_setting(line, "--certificate", settings.certificates, "FILE",
              "PEM file: a certificate and its chain; repeat for more, the host name chooses, and "
              "the first is for all others. Read again when it changes, and at SIGHUP");
  add_setting(
      line, "--private-key", settings.keys, "FILE",
      "PEM file: the key of a --certificate, in the same order; without any, each key is in "
      "the file of its certificate");
  add_setting(line, "--https-port", settings.https_port, 0, 65'535,
              "Port of https in redirects, where clients see another one; 0: that of --tls");
  add_setting(line, "--handshake-timeout", settings.door.handshake_timeout, 100ms, 10min,
              "For a client's TLS handshake");
  add_setting(line, "--handshakes-max", settings.door.handshakes_max, size_t{1}, size_t{100'000},
              "TLS handshakes at once; beyond, the oldest is given up");
}

Result<std::vector<CertificateFile>> certificate_files(const TlsSettings& settings) {
  const size_t keys = settings.keys.size();
  if (settings.on() == settings.certificates.empty() || (!settings.on() && keys != 0)) {
    return Error::invalid("--tls and --certificate need each other");
  }
  if (keys != 0 && keys != settings.certificates.size()) {
    return Error::invalid(
        "give --private-key once for each --certificate, in the same order, or "
        "put every key into the file of its certificate");
  }
  std::vector<CertificateFile> files;
  for (size_t i = 0; i < settings.certificates.size(); ++i) {
    const std::string& certificate = settings.certificates[i];
    files.push_back({certificate, keys == 0 ? certificate : settings.keys[i]});
  }
  return files;
}

}  // namespace mesclun::gateway
