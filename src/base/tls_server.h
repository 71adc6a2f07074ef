// The server's side of TLS over any stream, by OpenSSL: which certificate for which name, and the
// handshake. TLS 1.2 and 1.3, OpenSSL's ciphers at its security level 2, session tickets.
#pragma once

#include <string>
#include <vector>

#include "base/conn.h"

namespace mesclun {

// In PEM: a certificate with its chain, if any, and its key. Both texts may be the same.
struct TlsIdentity {
  std::string certificate_pem;
  std::string key_pem;
};

// What a server shows of itself. Nothing of it changes, so that a handshake under way ends as it
// began: a server with new certificates takes another one. Tickets of the former one are void, which
// costs its clients a whole handshake.
class TlsServer {
 public:
  virtual ~TlsServer() = default;

  // A client that names a host gets the certificate for it, a name before a wildcard; one that names
  // none, or another, the first of all. `protocols` is ALPN's list, the best first; empty: none is
  // agreed upon. There is at least one identity. InvalidArgument: what is wrong, and of
  // which, if there are several: "certificate 2: ...".
  static Result<std::shared_ptr<const TlsServer>> make(const std::vector<TlsIdentity>& identities,
                                                       std::vector<std::string> protocols = {});
  // When the first of the certificates ends.
  virtual WallTime expires() const = 0;

 protected:
  TlsServer() = default;
};

struct TlsAccepted {
  ConnPtr conn;
  std::string protocol;  // as agreed upon by ALPN; empty: the client named none
};
// Errors: Unavailable, no handshake came about; DeadlineExceeded.
// The stream's orderly end is the peer's close_notify; without one reading ends with Unavailable.
Task<Result<TlsAccepted>> accept_tls(ConnPtr conn, std::shared_ptr<const TlsServer> server,
                                     Clock& clock, Duration limit);
// For one certificate.
Task<Result<ConnPtr>> tls_server(ConnPtr conn, std::string certificate_pem, std::string key_pem,
                                 Clock& clock, Duration limit);

}  // namespace mesclun
