#include "http/peer_limit.h"

#include <boost/asio/ip/address.hpp>

namespace mesclun {

std::string address_key(std::string_view address) {
  boost::system::error_code failure;
  const auto parsed = boost::asio::ip::make_address(address, failure);
  if (failure) return {};
  if (parsed.is_v4()) return std::string(address);
  auto bytes = parsed.to_v6().to_bytes();
  if (parsed.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, parsed.to_v6()).to_string();
  }
  std::fill(bytes.begin() + 8, bytes.end(), uint8_t{0});
  return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

std::optional<PeerLimit::Place> PeerLimit::enter(std::string_view address) {
  if (served_ >= limits_.all) return std::nullopt;
  const auto at = by_address_.try_emplace(address_key(address), 0).first;
  if (!at->first.empty() && at->second >= limits_.of_address) return std::nullopt;
  ++at->second;
  ++served_;
  return Place(this, at);
}

void PeerLimit::leave(Place::At at) {
  --served_;
  if (--at->second == 0) by_address_.erase(at);
}

}  // namespace mesclun
