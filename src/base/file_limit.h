// Open files: every connection is one, and a shell gives a process 1,024 where the machine would give
// it twenty times as many.
#pragma once

#include <cstddef>
#include <string_view>

namespace mesclun {

// Raises the soft limit of this process to the hard one, and returns it. The first call notes what it
// was before; call it at the start, from one thread.
size_t raise_file_limit();

// Back to what it was before raise_file_limit(), for a child between fork and exec: programs that
// use select() break beyond 1,024. Async-signal-safe.
void restore_file_limit();

// The same for what is started while this lives; other threads may open no more files than before
// meanwhile.
class RestoredFileLimit {
 public:
  RestoredFileLimit() { restore_file_limit(); }
  ~RestoredFileLimit() { raise_file_limit(); }
  RestoredFileLimit(const RestoredFileLimit&) = delete;
  RestoredFileLimit& operator=(const RestoredFileLimit&) = delete;
};

// How many of `limit` files may be connections of one kind, if `reserve` others are to fit too;
// never more than three quarters are kept from them. Pure.
size_t files_for_connections(size_t limit, size_t wanted, size_t reserve);
// The same of this process; says so in the log, with what to do, if it is less than was wanted.
size_t fit_connections(std::string_view what, size_t wanted, size_t reserve);

}  // namespace mesclun
