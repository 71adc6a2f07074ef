// The client's side of TLS over any stream, by OpenSSL. The server's is tls_server.h.
#pragma once

#include "base/conn.h"

namespace mesclun {

// Speaks TLS 1.2 or 1.3 as the client, and hands back the stream inside. `host` is a name or an
// address, as in a URL: the certificate must be valid for it, and it is named to the server (SNI).
//
// CA files: $SSL_CERT_FILE, else OpenSSL's own place, else where the known distributions keep them.
// They are read at every call, which takes some milliseconds: for calls now and then.
// Errors:   PermissionDenied, the certificate is not valid for `host`, or nobody trusted signed it;
//           FailedPrecondition, no CA file on this machine; DeadlineExceeded; Unavailable.
// The stream's orderly end is the peer's close_notify; without one reading ends with Unavailable.
Task<Result<ConnPtr>> tls_client(ConnPtr conn, std::string host, Clock& clock, Duration limit);
// The same with whatever certificate, also none that was ever valid: for a peer that is known by
// where it is, such as a port of an instance. `host` is only named to the server, if it is a name.
Task<Result<ConnPtr>> tls_client_unchecked(ConnPtr conn, std::string host, Clock& clock,
                                           Duration limit);

}  // namespace mesclun
