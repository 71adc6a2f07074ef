// YAML files of the same shape as our JSON.
#pragma once

#include <map>

#include "base/json.h"

namespace mesclun {

struct YamlDocument {
  json::value value;
  // The line (from 1) of every value, by its JSON pointer.
  std::map<std::string, int> lines;
};

// YAML 1.2 scalars: only true, false, null, and decimal numbers are more than text, so the country
// code `no` stays a string. InvalidArgument carries line and column. At most 100,000 values,
// aliases counted as often as they are used.
Result<YamlDocument> parse_yaml(std::string_view text);

}  // namespace mesclun
