#include "http/forward.h"

#include <algorithm>
#include <charconv>

#include "http/head_rules.h"

namespace mesclun {

namespace {

void append_number(uint64_t value, int base, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value, base).ptr);
}

}  // namespace

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return iequals(name, "TE");
    case 5:
      return iequals(name, "Close");  // reserved, so that the option is no name of a header
    case 7:
      return iequals(name, "Upgrade");
    case 10:
      return iequals(name, "Connection") || iequals(name, "Keep-Alive");
    case 14:
      return iequals(name, "Content-Length");
    case 16:
      return iequals(name, "Proxy-Connection");
    case 17:
      return iequals(name, "Transfer-Encoding");
    case 18:
      return iequals(name, "Proxy-Authenticate");
    case 19:
      return iequals(name, "Proxy-Authorization");
    default:
      return false;
  }
}

NamedByConnection::NamedByConnection(const HeaderList& headers) {
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers[i];
    if (name.size() != 10 || !iequals(name, "Connection")) continue;
    std::string_view rest = value;
    while (true) {
      const size_t comma = rest.find(',');
      const std::string_view option = trim_blanks(rest.substr(0, comma));
      const bool known = option.empty() || is_hop_by_hop(option) || iequals(option, "Host");
      if (!known && names_.size() < HeadRules::kConnectionOptionsMax) names_.push_back(option);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
}

bool NamedByConnection::has(std::string_view name) const {
  return std::ranges::any_of(names_, [name](std::string_view one) { return iequals(one, name); });
}

void append_start_line(const RequestHead& head, std::string& out) {
  out.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
}

void append_start_line(const ResponseHead& head, std::string& out) {
  out.append("HTTP/1.1 ");
  append_number(static_cast<uint64_t>(head.status), 10, out);
  out.append(" ").append(head.reason).append("\r\n");
}

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_upgrade(std::string_view protocol, std::string& out) {
  append_field("Connection", "Upgrade", out);
  append_field("Upgrade", protocol, out);
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE" || method == "TRACE";
}

void append_request_framing(const HeaderList& headers, BodyFraming framing, std::string& out) {
  if (headers.has_token("TE", "trailers")) append_field("TE", "trailers", out);
  if (framing.kind == BodyFraming::Kind::Chunked) {
    append_field("Transfer-Encoding", "chunked", out);
  } else if (framing.kind == BodyFraming::Kind::Length || headers.has("Content-Length")) {
    out.append("Content-Length: ");
    append_number(framing.length, 10, out);
    out.append("\r\n");
  }
}

AnswerPlan plan_answer(BodyFraming framing, bool has_body, bool http_1_0, bool keep_alive) {
  AnswerPlan plan{.keep_alive = keep_alive, .http_1_0 = http_1_0};
  if (!has_body) return plan;
  plan.framing = framing.kind;
  if (framing.kind == BodyFraming::Kind::Length) return plan;
  // An end that only the close tells would cost the client its connection; HTTP/1.0 has no chunks.
  plan.framing = http_1_0 ? BodyFraming::Kind::UntilClose : BodyFraming::Kind::Chunked;
  if (http_1_0) plan.keep_alive = false;
  return plan;
}

void append_answer_end(const ResponseHead& head, const AnswerPlan& plan, std::string& out) {
  if (plan.framing == BodyFraming::Kind::Chunked) {
    append_field("Transfer-Encoding", "chunked", out);
  } else if (const auto length = head.headers.find("Content-Length");
             length && head.status != 204) {
    append_field("Content-Length", *length, out);
  }
  if (head.status == 101) {
    append_upgrade(head.headers.find("Upgrade").value_or("websocket"), out);
  } else if (!plan.keep_alive) {
    append_field("Connection", "close", out);
  } else if (plan.http_1_0) {
    append_field("Connection", "keep-alive", out);
  }
  out.append("\r\n");
}

void append_interim_head(const ResponseHead& head, std::string& out) {
  append_start_line(head, out);
  append_end_to_end(head.headers, out, drop_none);
  out.append("\r\n");
}

void append_chunk_start(size_t size, std::string& out) {
  append_number(size, 16, out);
  out.append("\r\n");
}

}  // namespace mesclun
