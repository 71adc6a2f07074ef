// Whether what a program printed has arrived.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>

namespace mesclun {

// Writes out what `file` still holds. Why not all that was ever printed to it has arrived, such as
// "No space left on device"; nothing if it has, or if its reader closed the pipe: who reads only the
// beginning wants no more.
std::optional<std::string> unwritten(std::FILE* file);

// For main(): the status of `run`, or 1 instead of 0 if standard output was not written, which is
// then said on standard error.
int with_output_written(const char* program, const std::function<int()>& run);

}  // namespace mesclun
