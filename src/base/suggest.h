// "Did you mean ...?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mesclun {

// Names of `known` that look like `wanted`, nearest first, at most three: "echo, echo-2".
std::string near_names(std::string_view wanted, const std::vector<std::string>& known);

}  // namespace mesclun
