#include "cloud/log_query.h"

// A query, and behind a zero byte a line that it looks at.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun::cloud;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const auto query = LogQuery::parse(text.substr(0, end));
  if (!query) return 0;
  LogEntry entry{.resource_type = "container", .labels = {{"instance_id", "i"}}};
  set_log(entry, text.substr(std::min(end + 1, text.size())));
  const bool matches = query->matches(entry);
  const auto opposite = LogQuery::parse("not (" + std::string(text.substr(0, end)) + ")");
  if (query->clauses() > 0 && opposite && opposite->matches(entry) == matches) __builtin_trap();
  return 0;
}
