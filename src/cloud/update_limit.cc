#include "cloud/update_limit.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/integer.h"

namespace mesclun::cloud {

namespace {

constexpr int32_t kAmountMax = 500;  // replicas of a group (api.md §4)

}  // namespace

int32_t UpdateLimit::of(int32_t replicas) const {
  const int32_t number = percent ? (replicas * amount + 99) / 100 : amount;
  return std::max(1, number);
}

std::string UpdateLimit::text() const {
  return fmt::format("{}{}", amount, percent ? "%" : "");
}

Result<UpdateLimit> parse_update_limit(std::string_view text) {
  const bool percent = text.ends_with('%');
  const auto amount = parse_integer<int32_t>(percent ? text.substr(0, text.size() - 1) : text);
  const int32_t most = percent ? 100 : kAmountMax;
  if (!amount || *amount < 1 || *amount > most) {
    return Error::invalid(
        fmt::format("'{}' is neither a number of instances from 1 to {} nor a share from 1% to "
                    "100%",
                    text.substr(0, 40), kAmountMax));
  }
  return UpdateLimit{.amount = *amount, .percent = percent};
}

}  // namespace mesclun::cloud
