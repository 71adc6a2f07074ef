// YAML files of the same shape as our JSON.
#pragma once

#include <map>
#include <vector>

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
// The same for a text of several documents ("---" between them), in their order. Empty ones are left
// out where there are others; parse_yaml() refuses more than one.
Result<std::vector<YamlDocument>> parse_yaml_documents(std::string_view text);

}  // namespace mesclun
