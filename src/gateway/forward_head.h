// What the heads of a request and of its answer become on their way through the gateway. Pure.
#pragma once

#include <optional>

#include "gateway/refusal.h"
#include "http/parser.h"

namespace mesclun::gateway {

// Of a head either way: names are looked up one by one, so their number is bounded apart from their
// size.
inline constexpr size_t kHeadersMax = 200;

// What is known of a request once its head is here.
struct RequestPlan {
  std::string host;  // as the client wrote it
  BodyFraming framing;
  bool websocket = false;
  bool keep_alive = false;  // the client's connection may go on
  bool http_1_0 = false;
  bool to_head = false;
  bool repeatable = false;  // sending it twice does no more than once (RFC 9110 §9.2.2)
  bool wants_html = false;
};

// Fills the plan as far as it can, also when it refuses: 400 or 501.
std::optional<Refusal> plan_request(RequestHead& head, BodyFraming framing, bool keep_alive,
                                    RequestPlan& plan);

// How the client reached us, for the X-Forwarded headers.
struct Forwarding {
  std::string client_address;
  std::string_view scheme = "http";
  bool trust_client = false;  // a proxy of ours is in front: keep its X-Forwarded-Proto and -Host
};

// The request to the instance: without hop-by-hop headers and the API key, with our own.
void append_request_head(const RequestHead& head, const RequestPlan& plan,
                         const Forwarding& forwarding, std::string& out);

// How an answer goes on to the client.
struct ResponsePlan {
  BodyFraming::Kind framing = BodyFraming::Kind::None;  // towards the client
  bool keep_alive = false;
};

// `has_body` is false for answers to HEAD, 204, 304 and empty ones.
ResponsePlan plan_response(const RequestPlan& request, BodyFraming framing, bool has_body,
                           bool may_keep_alive);
void append_response_head(const ResponseHead& head, const RequestPlan& request,
                          const ResponsePlan& plan, std::string& out);
// 1xx, as they come.
void append_interim_head(const ResponseHead& head, std::string& out);

// A piece of a chunked body: only its frame, so that the bytes need no copy.
void append_chunk_start(size_t size, std::string& out);
inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk, with trailers (hop-by-hop names left out).
void append_last_chunk(const HeaderList& trailers, std::string& out);

}  // namespace mesclun::gateway
