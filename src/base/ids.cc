#include "base/ids.h"

#include <array>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

namespace mesclun {

std::string new_uuid(Random& random) {
  boost::uuids::uuid id;
  random.fill(id.data);
  id.data[6] = (id.data[6] & 0x0f) | 0x40;  // version 4
  id.data[8] = (id.data[8] & 0x3f) | 0x80;  // RFC 9562 variant
  return to_string(id);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
    } else if (!std::isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

std::string random_word(Random& random, size_t length) {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string word(length, 'a');
  for (char& c : word) c = kLetters[random.below(kLetters.size())];
  return word;
}

}  // namespace mesclun
