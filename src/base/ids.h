// Identifiers: UUIDs as text, because every one of them crosses a wire.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"

namespace mesclun {

inline constexpr std::string_view kNilUuid = "00000000-0000-0000-0000-000000000000";

// A random (version 4) UUID in lower case.
std::string new_uuid(Random& random);
// 8-4-4-4-12 hexadecimal digits, of either case.
bool is_uuid(std::string_view text);
// `length` characters of a-z and 0-9.
std::string random_word(Random& random, size_t length);

}  // namespace mesclun
