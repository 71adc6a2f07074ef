// What the gateway makes of heads, beside what every hop does (http/forward.h). Pure.
#pragma once

#include <optional>

#include "gateway/refusal.h"
#include "http/forward.h"

namespace mesclun::gateway {

// What is known of a request once its head is here.
struct RequestPlan {
  std::string host;    // as the client wrote it
  std::string prefix;  // of the path, that named the group in its place; empty: none
  BodyFraming framing;
  bool websocket = false;
  bool keep_alive = false;  // the client's connection may go on
  bool http_1_0 = false;
  bool to_head = false;
  bool repeatable = false;  // sending it twice does no more than once (RFC 9110 §9.2.2), or its
                            // client has a key for that (Idempotency-Key)
  bool kept = false;        // all of it is at hand, for another try
  bool wants_html = false;
};

// For clients that cannot resolve NAME.localhost: /@NAME/path is /path of that group, of
// NAME.localhost if NAME has no dot. The application hears of it as X-Forwarded-Prefix.
void take_path_name(RequestHead& head, RequestPlan& plan);

// Fills the plan as far as it can, also when it refuses: 400 or 501.
std::optional<Refusal> plan_request(RequestHead& head, BodyFraming framing, bool keep_alive,
                                    RequestPlan& plan);

// The client's own, if it is one that can stand in any log; else nothing.
std::string_view request_id_of(const RequestHead& head);

// How the client reached us, for the X-Forwarded headers.
struct Forwarding {
  std::string client_address;
  std::string_view scheme = "http";
  // A proxy of ours is in front: believe and pass on its Forwarded, X-Forwarded-*, X-Real-IP and
  // Salad-*. From anybody else these are dropped.
  bool trust_client = false;
  bool ask_for_load = false;  // the answer should say how busy the instance is
  std::string_view request_id = {};
};

// The request to the instance: without hop-by-hop headers and the API key, with our own.
void append_request_head(const RequestHead& head, const RequestPlan& plan,
                         const Forwarding& forwarding, std::string& out);

// An answer of the application: only one of our own says that it is one. `request_id` may be empty.
void append_relayed_head(const ResponseHead& head, const AnswerPlan& plan,
                         std::string_view request_id, std::string& out);
// The end of a body in chunks, either way: trailers may not speak for us.
void append_last_chunk(const HeaderList& trailers, std::string& out);

}  // namespace mesclun::gateway
