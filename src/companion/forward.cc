#include "companion/forward.h"

#include <fmt/format.h>

#include "base/integer.h"

namespace mesclun::companion {

Result<CallerWish> read_wish(const HeaderList& headers, const FrontConfig& config) {
  CallerWish wish{.timeout = config.timeout};
  if (const auto text = headers.find(config.deadline_header)) {
    const int64_t milliseconds = parse_integer<int64_t>(*text).value_or(0);
    if (milliseconds < 1) {
      return Error::invalid(
          fmt::format("{} must be a number of milliseconds from 1", config.deadline_header));
    }
    // Compared as milliseconds: a huge number must not overflow nanoseconds.
    if (milliseconds < to_millis(config.timeout)) {
      wish.timeout = std::chrono::milliseconds(milliseconds);
    }
  }
  // A structured dictionary (RFC 8941); unknown members and malformed values are ignored, as
  // RFC 9218 §4 asks.
  if (const auto text = headers.find("Priority")) {
    std::string_view rest = *text;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      std::string_view member = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (member.starts_with(' ')) member.remove_prefix(1);
      if (member.size() >= 3 && member.starts_with("u=") && member[2] >= '0' && member[2] <= '7' &&
          (member.size() == 3 || member[3] == ';' || member[3] == ' ')) {
        wish.urgency = member[2] - '0';
        // Anybody may let others go first.
        if (!config.trust_priority) wish.urgency = std::max(wish.urgency, kUsualUrgency);
      }
    }
  }
  return wish;
}

uint64_t input_hash(std::string_view method, std::string_view target, std::string_view body) {
  const std::hash<std::string_view> hash;
  uint64_t all = hash(body);
  for (const std::string_view text : {method, target}) all = all * 1'000'003 ^ hash(text);
  return std::max<uint64_t>(1, all);
}

bool asks_for_load_report(const RequestHead& head) {
  return head.headers.find(kLoadFormatHeader) == kLoadFormatText;
}

void add_load_report(const LoadReport& report, HeaderList& headers) {
  if (!headers.has(kLoadReportHeader)) {
    headers.add(kLoadReportHeader, format_load_report(report));
  }
}

bool is_websocket_request(const RequestHead& head) {
  return head.method == "GET" && !head.http_1_0 &&
         head.headers.has_token("Connection", "upgrade") &&
         head.headers.has_token("Upgrade", "websocket");
}

void append_forward_head(const RequestHead& head, const FrontConfig& config, BodyFraming framing,
                         Duration timeout_left, std::string& out) {
  append_start_line(head, out);
  // The body has been asked for, and has come without its trailers.
  append_end_to_end(head.headers, out, [&config](std::string_view name) {
    return iequals(name, "Expect") || iequals(name, "Trailer") ||
           iequals(name, config.deadline_header);
  });
  append_request_framing(head.headers, framing, out);
  if (is_websocket_request(head)) append_upgrade("websocket", out);
  append_field(config.deadline_header,
               std::to_string(std::max<int64_t>(1, to_millis(timeout_left))), out);
  out += "\r\n";
}

}  // namespace mesclun::companion
