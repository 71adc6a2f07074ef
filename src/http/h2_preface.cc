#include "http/h2_preface.h"

namespace mesclun {

Task<Result<bool>> begins_with(HttpInput& input, std::string_view text) {
  while (input.bytes().size() < text.size() && text.starts_with(input.bytes())) {
    CO_TRY(const bool more, co_await input.fill());
    if (!more) co_return false;
  }
  co_return input.bytes().starts_with(text);
}

}  // namespace mesclun
