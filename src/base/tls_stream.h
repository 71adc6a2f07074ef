// What both sides of TLS have in common: a stream over records. Only for tls_conn.cc and
// tls_server.cc.
#pragma once

#include "base/conn.h"
#include "base/openssl.h"

namespace mesclun {

// `ssl` knows which side it is on. The stream that is handed back owns it.
Task<Result<ConnPtr>> shake_hands(ConnPtr conn, SslPtr ssl, Clock& clock, Duration limit);

}  // namespace mesclun
