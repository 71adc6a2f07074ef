// For tests: all that comes over a connection.
#pragma once

#include "base/conn.h"

namespace mesclun {

inline Task<Result<std::string>> read_to_end(Conn& conn) {
  std::string all;
  char buffer[1000];
  while (true) {
    CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(buffer)));
    if (n == 0) co_return all;
    all.append(buffer, n);
  }
}

}  // namespace mesclun
