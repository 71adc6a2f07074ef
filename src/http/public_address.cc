#include "http/public_address.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace mesclun {

namespace {

namespace ip = boost::asio::ip;

struct V4Network {
  std::array<uint8_t, 4> address;
  int bits;
};

constexpr V4Network kClosed4[] = {
    {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},     {{100, 64, 0, 0}, 10}, {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12},  {{192, 0, 0, 0}, 24},  {{192, 0, 2, 0}, 24},
    {{192, 88, 99, 0}, 24}, {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15}, {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24}, {{224, 0, 0, 0}, 4},    {{240, 0, 0, 0}, 4},
};

uint32_t number_of(const std::array<uint8_t, 4>& bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool is_public4(const ip::address_v4& address) {
  const uint32_t number = address.to_uint();
  return std::ranges::none_of(kClosed4, [number](const V4Network& network) {
    return (number ^ number_of(network.address)) >> (32 - network.bits) == 0;
  });
}

bool begins_with(const ip::address_v6::bytes_type& bytes, std::initializer_list<uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

ip::address_v4 embedded_at(const ip::address_v6::bytes_type& bytes, size_t at) {
  return ip::address_v4(
      ip::address_v4::bytes_type{{bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]}});
}

bool is_public6(const ip::address_v6& address) {
  const ip::address_v6::bytes_type bytes = address.to_bytes();
  if (address.is_v4_mapped()) return is_public4(embedded_at(bytes, 12));
  // Of a translator (RFC 6052), and 6to4.
  if (begins_with(bytes, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return is_public4(embedded_at(bytes, 12));
  }
  if (begins_with(bytes, {0x20, 0x02})) return is_public4(embedded_at(bytes, 2));
  const bool global = (bytes[0] & 0xe0) == 0x20;                          // 2000::/3
  const bool special = begins_with(bytes, {0x20, 0x01}) && bytes[2] < 2;  // 2001::/23
  const bool documents = begins_with(bytes, {0x20, 0x01, 0x0d, 0xb8}) ||
                         (begins_with(bytes, {0x3f, 0xff}) && bytes[2] < 0x10);
  return global && !special && !documents;
}

}  // namespace

bool is_public_address(const ip::address& address) {
  return address.is_v4() ? is_public4(address.to_v4()) : is_public6(address.to_v6());
}

}  // namespace mesclun
