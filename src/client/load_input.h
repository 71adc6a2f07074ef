// What `mesclun load` sends: bodies and header fields as people give them.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace mesclun::client {

// A whole file, or `in` for "-"; at most 256 MiB.
Result<std::string> read_body_file(const std::string& path, std::FILE* in);

// One JSON value per line, each the body of one request; empty lines are skipped. Errors carry
// "FILE:LINE:".
Result<std::vector<std::string>> split_json_lines(const std::string& name, std::string_view text);

// "Name: value".
Result<> add_header(HeaderList& headers, std::string_view text);

}  // namespace mesclun::client
