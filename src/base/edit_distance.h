// How different two words are: for "did you mean ...?".
#pragma once

#include <cstddef>
#include <string_view>

namespace mesclun {

// The least number of letters to insert, delete or replace. Time and memory: the product and the
// length of the words, so bound them.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace mesclun
