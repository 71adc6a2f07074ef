// An application's answer to a batch, JSON or multipart, and the bodies of callers.
#include <cstdint>

#include "companion/batch_codec.h"
#include "companion/json_span.h"
#include "companion/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun::companion;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<BatchItem> items = {{.id = 1, .path = "/a", .body = "1"},
                                        {.id = 2, .path = "/b", .body = "2"}};
  mesclun::HttpReply reply{.status = 200, .body = std::string(text)};
  const bool multipart = data[0] % 2 == 0;
  reply.headers.add("Content-Type",
                    multipart ? "multipart/form-data; boundary=x" : "application/json");
  const auto answers = split_answer(reply, items);
  if (answers && answers->size() != items.size()) __builtin_trap();
  // The head of a multipart message is the application's too.
  const size_t line = text.find('\n');
  if (line != std::string_view::npos) {
    std::ignore = parse_multipart(text.substr(0, line), text.substr(line + 1), 10);
  }
  std::ignore = raw_item_bodies(text);
  std::ignore = find_number({FieldSource::Kind::Json, "/a/b"}, {}, text);
  return 0;
}
