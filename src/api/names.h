// Names and codes of the public contract (api.md, notation).
#pragma once

#include <string_view>

namespace mesclun::api {

// 2..63 characters: a lower-case letter, then letters, digits and hyphens, not ending in a hyphen.
bool is_name(std::string_view text);
inline constexpr std::string_view kNameRule =
    "must be 2 to 63 lower-case letters, digits and hyphens, starting with a letter and not ending "
    "in a hyphen";

// 2..63 letters, digits, spaces, commas, hyphens and full stops.
bool is_display_name(std::string_view text);
inline constexpr std::string_view kDisplayNameRule =
    "must be 2 to 63 letters, digits, spaces, commas, hyphens and full stops";

// One of the 249 lower-case ISO 3166-1 alpha-2 codes.
bool is_country_code(std::string_view text);

}  // namespace mesclun::api
