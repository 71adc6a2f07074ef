// Where things stand in the text of a JSON document, so that they can be passed on as written.
#pragma once

#include <string_view>
#include <vector>

namespace mesclun::companion {

// `text` is valid JSON: an object with a list "items" of objects. The text of the member "body" of
// each, empty where there is none. An empty list: the text is of another form, or writes these
// names with escapes.
std::vector<std::string_view> raw_item_bodies(std::string_view text);

}  // namespace mesclun::companion
