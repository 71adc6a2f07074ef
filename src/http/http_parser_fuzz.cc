// The head and body of a request and of a response, cut into pieces by the input's first byte.
#include "http/parser.h"

using namespace mesclun;

namespace {

void feed(HttpParser parser, std::string_view text, size_t step) {
  std::string pending;
  bool head = false;
  for (size_t at = 0; at < text.size(); at += step) {
    pending += text.substr(at, step);
    if (!head) {
      const auto parsed = parser.parse_head(pending);
      if (!parsed) return;
      pending.erase(0, parsed->consumed);
      head = parsed->done;
      if (!head) continue;
    }
    if (parser.body_done()) return;
    std::vector<std::string_view> pieces;
    const auto parsed = parser.parse_body(pending, pieces);
    if (!parsed) return;
    pending.erase(0, parsed->consumed);
  }
  if (head && !parser.body_done()) std::ignore = parser.end_of_stream();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = data[0] % 64 + 1;
  feed(HttpParser::request(2048), text, step);
  feed(HttpParser::response(2048, false), text, step);
  return 0;
}
