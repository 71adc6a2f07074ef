// The batch request to the application and its answer, as bytes. docs/applications/companion.md
// describes the form for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "companion/config.h"
#include "http/client.h"

namespace mesclun::companion {

struct BatchItem {
  uint64_t id = 0;
  std::string_view path;  // with its query
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

// The headers of a request or answer and its body, which is parsed once, when a field of it is
// asked for first. Both outlive this.
class MessageFields {
 public:
  MessageFields(const HeaderList& headers, std::string_view body)
      : headers_(headers), body_(body) {}

  const Result<json::value>& json();
  // The value at a source; a JSON string without its quotes. Nothing if it is not there.
  std::optional<std::string> find(const FieldSource& source);
  // The same as a number: NotFound if absent, InvalidArgument if it is no finite number of 0 or
  // more.
  Result<double> number(const FieldSource& source);

 private:
  const HeaderList& headers_;
  std::string_view body_;
  std::optional<Result<json::value>> json_;
};

// For one field of a message.
std::optional<std::string> find_field(const FieldSource& source, const HeaderList& headers,
                                      std::string_view body);
Result<double> find_number(const FieldSource& source, const HeaderList& headers,
                           std::string_view body);

}  // namespace mesclun::companion
