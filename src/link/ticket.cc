#include "link/ticket.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/integer.h"

namespace mesclun::link {

namespace {

std::string ticket_signature(std::string_view secret, std::string_view signed_part) {
  return to_hex(hmac_sha256(secret, signed_part));
}

}  // namespace

std::string make_tunnel_ticket(std::string_view secret, std::string_view machine_id,
                               int64_t expires_unix_s) {
  const std::string signed_part = fmt::format("{}|{}", machine_id, expires_unix_s);
  return signed_part + "|" + ticket_signature(secret, signed_part);
}

Result<std::string> check_tunnel_ticket(std::string_view secret, std::string_view ticket,
                                        int64_t now_unix_s) {
  const Error bad{ErrorCode::Unauthenticated, "the tunnel ticket is not valid"};
  const size_t last = ticket.rfind('|');
  if (last == std::string_view::npos || secret.empty()) return bad;
  const std::string_view signed_part = ticket.substr(0, last);
  if (!equal_secret(ticket.substr(last + 1), ticket_signature(secret, signed_part))) return bad;
  const size_t middle = signed_part.rfind('|');
  if (middle == std::string_view::npos) return bad;
  const auto expires = parse_integer<int64_t>(signed_part.substr(middle + 1));
  if (!expires) return bad;
  if (*expires <= now_unix_s) {
    return Error{ErrorCode::Unauthenticated, "the tunnel ticket has expired"};
  }
  return std::string(signed_part.substr(0, middle));
}

}  // namespace mesclun::link
