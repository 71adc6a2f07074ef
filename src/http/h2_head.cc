#include "http/h2_head.h"

#include <algorithm>

#include "http/forward.h"

namespace mesclun {

namespace {

Error malformed(std::string_view what) {
  return Error::invalid("malformed HTTP/2: " + std::string(what));
}

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
// Nothing that ends a line, and no blanks at the ends, which a line would lose.
bool is_value(std::string_view text) {
  const auto fine = [](char c) {
    return (static_cast<unsigned char>(c) >= 0x20 && c != '\x7f') || c == '\t';
  };
  return std::ranges::all_of(text, fine) && trim_blanks(text).size() == text.size();
}
// Part of a start line.
bool is_visible(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// Those of HTTP/1.1 that may not stand in HTTP/2 (RFC 9113 §8.2.2).
bool concerns_connection(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

H2Fields end_to_end(const HeaderList& headers, bool with_length) {
  H2Fields fields;
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers[i];
    const bool length = with_length && iequals(name, "Content-Length");
    if (is_hop_by_hop(name) && !length) continue;
    fields.emplace_back(lower_case(name), value);
  }
  return fields;
}

// What most servers make of the absence, too.
bool names_empty_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

Result<> H2Section::add_pseudo(std::string_view name, std::string_view value) {
  pseudo_ = true;
  const auto set = [&value](std::string& to) -> Result<> {
    if (!to.empty()) return malformed("a pseudo header comes twice");
    to = value;
    return {};
  };
  if (name == ":method") return is_token(value) ? set(method_) : malformed(":method is no token");
  if (name == ":path") return is_visible(value) ? set(path_) : malformed(":path");
  if (name == ":authority") {
    return is_visible(value) ? set(authority_) : malformed(":authority");
  }
  if (name == ":scheme") return {};
  return malformed("an unknown pseudo header");
}

Result<> H2Section::add(std::string_view name, std::string_view value) {
  // Also of what a reader would pass over: a stream may not bring more than its text.
  if (fields_.size() + cookies_.size() > bytes_max_) return {};
  if (name.starts_with(':')) return add_pseudo(name, value);
  if (!is_token(name) || std::ranges::any_of(name, is_upper)) return malformed("a header's name");
  if (!is_value(value)) return malformed("a header's value");
  if (concerns_connection(name)) return malformed("a header of HTTP/1.1's connections");
  if (name == "te" && !iequals(value, "trailers")) return malformed("te is not trailers");
  if (name == "host" && iequals(value, authority_)) return {};
  if (name == "trailer") trailers_follow_ = true;
  if (name == "content-length") {
    if (!length_.empty() || value.empty()) return malformed("content-length");
    length_ = value;
    return {};
  }
  if (name == "cookie") {
    cookies_.append(cookies_.empty() ? "" : "; ").append(value);
    return {};
  }
  append_field(name, value, fields_);
  return {};
}

Result<H2Section::Head> H2Section::request(bool ended) const {
  const bool connects = method_ == "CONNECT";
  if (method_.empty() || connects != path_.empty()) return malformed("a pseudo header is missing");
  if (!connects && !path_.starts_with('/') && path_ != "*") return malformed(":path is no path");
  if (ended && !length_.empty() && length_ != "0")
    return malformed("content-length without a body");
  Head head{.to_head = method_ == "HEAD"};
  std::string& out = head.text;
  out.reserve(method_.size() + path_.size() + authority_.size() + fields_.size() + cookies_.size() +
              128);
  out.append(method_).append(" ").append(connects ? authority_ : path_).append(" HTTP/1.1\r\n");
  if (!authority_.empty()) append_field("host", authority_, out);
  out.append(fields_);
  if (!cookies_.empty()) append_field("cookie", cookies_, out);
  // In HTTP/1.1 only chunks have trailers.
  head.chunked = !ended && (length_.empty() || trailers_follow_);
  if (head.chunked) {
    append_field("transfer-encoding", "chunked", out);
  } else if (!length_.empty()) {
    append_field("content-length", length_, out);
  } else if (names_empty_body(method_)) {
    append_field("content-length", "0", out);
  }
  out.append("\r\n");
  return head;
}

Result<std::string> H2Section::trailers() const {
  if (pseudo_) return malformed("a pseudo header among the trailers");
  return fields_;
}

H2Fields h2_answer_head(const ResponseHead& head) {
  H2Fields fields = end_to_end(head.headers, head.status != 204);
  fields.emplace(fields.begin(), ":status", std::to_string(head.status));
  return fields;
}

H2Fields h2_trailers(const HeaderList& trailers) {
  return end_to_end(trailers, false);
}

}  // namespace mesclun
