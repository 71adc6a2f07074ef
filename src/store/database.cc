#include "store/database.h"

namespace mesclun::store {

int64_t Row::integer(size_t column) const {
  const auto* value = std::get_if<int64_t>(&values_.at(column));
  return value == nullptr ? 0 : *value;
}

double Row::real(size_t column) const {
  if (const auto* value = std::get_if<double>(&values_.at(column))) return *value;
  return static_cast<double>(integer(column));
}

const std::string& Row::text(size_t column) const {
  static const std::string kEmpty;
  const auto* value = std::get_if<std::string>(&values_.at(column));
  return value == nullptr ? kEmpty : *value;
}

bool Row::is_null(size_t column) const {
  return std::holds_alternative<std::nullptr_t>(values_.at(column));
}

}  // namespace mesclun::store
