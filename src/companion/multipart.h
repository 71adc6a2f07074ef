// multipart/form-data (RFC 7578): what a batch of bodies of any type travels in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace mesclun::companion {

struct Part {
  std::string name;
  HeaderList headers;     // without Content-Disposition
  std::string_view body;  // into the message
};

// At most `parts_max` parts. InvalidArgument says what is wrong.
Result<std::vector<Part>> parse_multipart(std::string_view content_type, std::string_view message,
                                          size_t parts_max);

// Appends a part; finish with append_multipart_end. `boundary` must not occur in any body: use one
// with enough randomness.
void append_part(std::string_view boundary, const Part& part, std::string& out);
void append_multipart_end(std::string_view boundary, std::string& out);

}  // namespace mesclun::companion
