// The batch request to the application and its answer, as bytes. docs/applications/companion.md
// describes the form for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/http_client.h"
#include "companion/config.h"

namespace mesclun::companion {

struct BatchItem {
  uint64_t id = 0;
  std::string_view path;
  std::string_view content_type;
  std::string_view body;  // for BatchFormat::Json: valid JSON
};

struct ItemAnswer {
  int status = 200;
  HeaderList headers;
  std::string body;
};

// `boundary`: for multipart, not in any body. Method, target, headers and body are filled in.
HttpCall write_batch(const BatchConfig& config, const std::vector<BatchItem>& items,
                     std::string_view boundary);

// One entry an item, in the order of `items`; nothing for an item that the answer leaves out, or
// for all when it has none. An error: the answer as a whole is of no use, with a sentence that says
// why.
Result<std::vector<std::optional<ItemAnswer>>> split_answer(const HttpReply& reply,
                                                            const std::vector<BatchItem>& items);

// The value at a FieldSource of a request or answer; a JSON string without its quotes. Nothing if
// it is not there. `body` is only parsed for Kind::Json.
std::optional<std::string> find_field(const FieldSource& source, const HeaderList& headers,
                                      std::string_view body);
// The same as a number: NotFound if absent, InvalidArgument if it is no finite number of 0 or more.
Result<double> find_number(const FieldSource& source, const HeaderList& headers,
                           std::string_view body);

}  // namespace mesclun::companion
