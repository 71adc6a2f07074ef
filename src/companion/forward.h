// What the front adds to http/forward.h: what a caller wishes, and what the application is told.
// Pure.
#pragma once

#include <string>

#include "companion/config.h"
#include "http/forward.h"
#include "http/load_report.h"

namespace mesclun::companion {

// What the front reads from a caller's head. InvalidArgument: a deadline or priority that is none.
inline constexpr int kUsualUrgency = 3;
struct CallerWish {
  int urgency = kUsualUrgency;  // RFC 9218, `Priority: u=N`; better only with trust_priority
  Duration timeout{};           // at most front.timeout
};
Result<CallerWish> read_wish(const HeaderList& headers, const FrontConfig& config);

// Stands for a request, in this process; never 0.
uint64_t input_hash(std::string_view method, std::string_view target, std::string_view body);

// A gateway wants to know how busy we are.
bool asks_for_load_report(const RequestHead& head);
// Unless the application says it itself.
void add_load_report(const LoadReport& report, HeaderList& headers);

// A request for the one protocol to which the front lets an application upgrade. Whatever else an
// Upgrade header offers (h2c, TLS) is ignored, as RFC 9110 §7.8 permits.
bool is_websocket_request(const RequestHead& head);

// The head of a request whose body, of `framing` Length, is there as a whole. `timeout_left`: told
// to the application. A websocket's upgrade stays.
void append_forward_head(const RequestHead& head, const FrontConfig& config, BodyFraming framing,
                         Duration timeout_left, std::string& out);

}  // namespace mesclun::companion
