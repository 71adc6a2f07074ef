// What an agent shows a gateway, so that its tunnel is let in: signed by the cloud, checked by the
// gateway without asking the cloud.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mesclun::link {

// "<machine_id>|<expiry, unix s>|<HMAC-SHA-256 of these two by the tunnel secret, hex>".
std::string make_tunnel_ticket(std::string_view secret, std::string_view machine_id,
                               int64_t expires_unix_s);
// The machine id; Unauthenticated if it is forged or has expired.
Result<std::string> check_tunnel_ticket(std::string_view secret, std::string_view ticket,
                                        int64_t now_unix_s);

}  // namespace mesclun::link
