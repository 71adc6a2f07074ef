// How sessions and tunnels begin: an HTTP/1.1 Upgrade, both ends of it.
//
//   agent to cloud     GET /v1/session   Upgrade: mesclun-session/1
//   gateway to cloud   GET /v1/routes    Upgrade: mesclun-session/1
//   agent to gateway   GET /v1/tunnel    Upgrade: mesclun-tunnel/1   Mesclun-Tunnel-Ticket: ...
#pragma once

#include "base/socket_conn.h"
#include "http/server.h"

namespace mesclun::link {

struct Upgrade {
  std::string_view path;
  std::string_view protocol;
};
inline constexpr Upgrade kSessionUpgrade{"/v1/session", "mesclun-session/1"};
inline constexpr Upgrade kRoutesUpgrade{"/v1/routes", "mesclun-session/1"};
inline constexpr Upgrade kTunnelUpgrade{"/v1/tunnel", "mesclun-tunnel/1"};

// The dialling end: 5 s to connect, 5 s to be answered; a ticket is shown if there is one.
// Unavailable: refused or unreachable; Unauthenticated or PermissionDenied: not let in.
Task<Result<ConnPtr>> dial_upgrade(Endpoint endpoint, Clock& clock, Upgrade upgrade,
                                   std::string ticket = {});

// The answering end: a 101, whose `upgrade` the caller sets. InvalidArgument: the request asks for
// another protocol or for none.
Result<HttpResponse> accept_upgrade(const HttpRequest& request, Upgrade upgrade);
// What came as Mesclun-Tunnel-Ticket; empty if nothing did.
std::string shown_ticket(const HttpRequest& request);

}  // namespace mesclun::link
