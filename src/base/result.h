// A value or an Error. Losing a node or a lease is normal here, so signatures show what can fail.
#pragma once

#include <expected>
#include <tuple>  // `std::ignore = f();` says that the outcome of f changes nothing
#include <utility>

#include "base/error.h"

namespace mesclun {

template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}

  // Of an error only, as error().
  ErrorCode code() const { return this->error().code; }
};

}  // namespace mesclun

#define MESCLUN_CAT2(a, b) a##b
#define MESCLUN_CAT(a, b) MESCLUN_CAT2(a, b)

// TRY(Lease lease, acquire()) declares `lease`, or returns the error to the caller.
#define MESCLUN_TRY(ret, tmp, declaration, expression) \
  auto tmp = (expression);                             \
  if (!tmp) ret std::move(tmp).error();                \
  declaration = *std::move(tmp)
#define TRY(declaration, expression) \
  MESCLUN_TRY(return, MESCLUN_CAT(try_, __LINE__), declaration, expression)
#define CO_TRY(declaration, expression) \
  MESCLUN_TRY(co_return, MESCLUN_CAT(try_, __LINE__), declaration, expression)

// The same where there is no value: TRY_DO(store.flush()).
#define MESCLUN_TRY_DO(ret, tmp, expression) \
  if (auto tmp = (expression); !tmp) ret std::move(tmp).error()
#define TRY_DO(expression) MESCLUN_TRY_DO(return, MESCLUN_CAT(try_, __LINE__), expression)
#define CO_TRY_DO(expression) MESCLUN_TRY_DO(co_return, MESCLUN_CAT(try_, __LINE__), expression)
