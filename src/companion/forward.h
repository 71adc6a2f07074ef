// What the heads of a request and its answer become on their way between caller and application.
// Pure.
#pragma once

#include <string>

#include "companion/config.h"
#include "http/parser.h"

namespace mesclun::companion {

// What the front reads from a caller's head. InvalidArgument: a deadline or priority that is none.
struct CallerWish {
  int urgency = 3;     // RFC 9218, `Priority: u=N`
  Duration timeout{};  // at most front.timeout
};
Result<CallerWish> read_wish(const HeaderList& headers, const FrontConfig& config);

// Without hop-by-hop headers; `body_bytes` as Content-Length where the method or the caller has
// one. `timeout_left`: told to the application.
void append_forward_head(const RequestHead& head, const FrontConfig& config, uint64_t body_bytes,
                         bool has_body, Duration timeout_left, std::string& out);
// "Connection: Upgrade" stays.
void append_upgrade_head(const RequestHead& head, std::string& out);

struct AnswerPlan {
  BodyFraming::Kind framing = BodyFraming::Kind::None;  // towards the caller
  bool keep_alive = true;
};
// `has_body` is false for answers to HEAD, 204, 304.
AnswerPlan plan_answer(BodyFraming framing, bool has_body, bool caller_http_1_0, bool keep_alive);
void append_answer_head(const ResponseHead& head, const AnswerPlan& plan, std::string& out);
// 101 as it is.
void append_switching_head(const ResponseHead& head, std::string& out);
void append_piece(std::string_view piece, BodyFraming::Kind framing, std::string& out);
void append_end(BodyFraming::Kind framing, std::string& out);

}  // namespace mesclun::companion
