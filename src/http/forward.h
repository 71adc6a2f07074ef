// What of a message goes on to the next hop, and how its body is framed there (RFC 9110 §7.6, RFC
// 9112 §6). The one place for these rules: two copies came to differ in what they let through. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace mesclun {

// Headers that concern one connection only, and those that frame the body: each hop writes its own.
bool is_hop_by_hop(std::string_view name);

// All Connection headers are one list, which may name more headers that end here. Most name only
// known ones. A view of the headers.
class NamedByConnection {
 public:
  explicit NamedByConnection(const HeaderList& headers);
  // Never Host: nobody may take away what says where the message goes.
  bool has(std::string_view name) const;

 private:
  std::vector<std::string_view> names_;  // apart from those that never go on, or never stay
};

// ---- the parts of a head ----
// As HTTP/1.1, whatever it came as.
void append_start_line(const RequestHead& head, std::string& out);
void append_start_line(const ResponseHead& head, std::string& out);
void append_field(std::string_view name, std::string_view value, std::string& out);
// Every header that goes on, but those of which `drop(name)` is true.
template <class Drop>
void append_end_to_end(const HeaderList& headers, std::string& out, Drop drop) {
  const NamedByConnection named(headers);
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers[i];
    if (!is_hop_by_hop(name) && !named.has(name) && !drop(name)) append_field(name, value, out);
  }
}
inline bool drop_none(std::string_view) {
  return false;
}
void append_upgrade(std::string_view protocol, std::string& out);

// ---- requests ----
// Sending it twice does no more than once (RFC 9110 §9.2.2).
bool is_idempotent(std::string_view method);
// Chunks, or a length where there is a body or the client named one; and whether trailers are
// welcome.
void append_request_framing(const HeaderList& headers, BodyFraming framing, std::string& out);

// ---- answers ----
// How an answer goes on to the client.
struct AnswerPlan {
  BodyFraming::Kind framing = BodyFraming::Kind::None;  // towards the client
  bool keep_alive = false;
  bool http_1_0 = false;  // so speaks the client
};
// `framing` is how it came; `has_body` is false for answers to HEAD, 204, 304 and empty ones.
AnswerPlan plan_answer(BodyFraming framing, bool has_body, bool http_1_0, bool keep_alive);
// Framing, Connection, and the empty line.
void append_answer_end(const ResponseHead& head, const AnswerPlan& plan, std::string& out);
// The whole head. A 101 names its protocol again.
template <class Drop>
void append_answer_head(const ResponseHead& head, const AnswerPlan& plan, std::string& out,
                        Drop drop) {
  append_start_line(head, out);
  append_end_to_end(head.headers, out, drop);
  append_answer_end(head, plan, out);
}
// 1xx, as they come.
void append_interim_head(const ResponseHead& head, std::string& out);

// ---- chunks ----
// Only the frame of a piece, so that its bytes need no copy. No piece is empty: that is the end.
void append_chunk_start(size_t size, std::string& out);
inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk, with trailers: without those that could change where the message goes or ends,
// and without those of which `drop(name)` is true.
template <class Drop>
void append_last_chunk(const HeaderList& trailers, std::string& out, Drop drop) {
  out.append("0\r\n");
  for (size_t i = 0; i < trailers.size(); ++i) {
    const auto [name, value] = trailers[i];
    if (is_hop_by_hop(name) || iequals(name, "Host") || drop(name)) continue;
    append_field(name, value, out);
  }
  out.append("\r\n");
}

}  // namespace mesclun
