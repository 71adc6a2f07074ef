#include "companion/forward.h"

#include <fmt/format.h>

#include <charconv>

namespace mesclun::companion {

namespace {

// RFC 9110 §7.6.1, and those that a Connection header names.
bool is_hop_by_hop(const HeaderList& headers, std::string_view name) {
  for (std::string_view known :
       {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "TE", "Trailer",
        "Upgrade", "Content-Length", "Expect"}) {
    if (iequals(name, known)) return true;
  }
  return headers.has_token("Connection", name);
}

void copy_start_line(const RequestHead& from, RequestHead& to) {
  to.method = from.method;
  to.target = from.target;
}
void copy_start_line(const ResponseHead& from, ResponseHead& to) {
  to.status = from.status;
  to.reason = from.reason;
}

template <class Head>
Head copy_end_to_end(const Head& head) {
  Head out;
  copy_start_line(head, out);
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const HeaderList::View field = head.headers[i];
    if (!is_hop_by_hop(head.headers, field.name)) out.headers.add(field.name, field.value);
  }
  return out;
}

template <class Head>
void append_with_upgrade(const Head& head, std::string& out) {
  Head forward = copy_end_to_end(head);
  forward.headers.add("Connection", "Upgrade");
  forward.headers.add("Upgrade", head.headers.find("Upgrade").value_or(""));
  write_head(forward, out);
}

}  // namespace

Result<CallerWish> read_wish(const HeaderList& headers, const FrontConfig& config) {
  CallerWish wish{.timeout = config.timeout};
  if (const auto text = headers.find(config.deadline_header)) {
    int64_t milliseconds = 0;
    const auto [end, error] =
        std::from_chars(text->data(), text->data() + text->size(), milliseconds);
    if (error != std::errc() || end != text->data() + text->size() || milliseconds < 1) {
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
      }
    }
  }
  return wish;
}

void append_forward_head(const RequestHead& head, const FrontConfig& config, uint64_t body_bytes,
                         bool has_body, Duration timeout_left, std::string& out) {
  RequestHead forward = copy_end_to_end(head);
  if (has_body) forward.headers.add("Content-Length", std::to_string(body_bytes));
  forward.headers.set(config.deadline_header,
                      std::to_string(std::max<int64_t>(1, to_millis(timeout_left))));
  write_head(forward, out);
}

void append_upgrade_head(const RequestHead& head, std::string& out) {
  append_with_upgrade(head, out);
}

AnswerPlan plan_answer(BodyFraming framing, bool has_body, bool caller_http_1_0, bool keep_alive) {
  AnswerPlan plan{.framing = framing.kind, .keep_alive = keep_alive};
  if (!has_body) {
    // Content-Length stays where there is one: the answer to HEAD.
    if (framing.kind != BodyFraming::Kind::Length) plan.framing = BodyFraming::Kind::None;
    return plan;
  }
  if (framing.kind == BodyFraming::Kind::Chunked || framing.kind == BodyFraming::Kind::UntilClose) {
    plan.framing = caller_http_1_0 ? BodyFraming::Kind::UntilClose : BodyFraming::Kind::Chunked;
  }
  if (plan.framing == BodyFraming::Kind::UntilClose) plan.keep_alive = false;
  return plan;
}

void append_answer_head(const ResponseHead& head, const AnswerPlan& plan, std::string& out) {
  ResponseHead forward = copy_end_to_end(head);
  if (plan.framing == BodyFraming::Kind::Length) {
    if (const auto length = head.headers.find("Content-Length")) {
      forward.headers.add("Content-Length", *length);
    }
  } else if (plan.framing == BodyFraming::Kind::Chunked) {
    forward.headers.add("Transfer-Encoding", "chunked");
  } else if (plan.framing == BodyFraming::Kind::None && head.status != 204 && head.status != 304 &&
             head.status >= 200) {
    forward.headers.add("Content-Length", "0");
  }
  if (!plan.keep_alive) forward.headers.add("Connection", "close");
  write_head(forward, out);
}

void append_switching_head(const ResponseHead& head, std::string& out) {
  append_with_upgrade(head, out);
}

void append_piece(std::string_view piece, BodyFraming::Kind framing, std::string& out) {
  if (piece.empty()) return;
  if (framing != BodyFraming::Kind::Chunked) {
    out += piece;
    return;
  }
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", piece.size());
  out += piece;
  out += "\r\n";
}

void append_end(BodyFraming::Kind framing, std::string& out) {
  if (framing == BodyFraming::Kind::Chunked) out += "0\r\n\r\n";
}

}  // namespace mesclun::companion
