#include "gateway/forward_head.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/url.h"

namespace mesclun::gateway {

namespace {

bool is_written_by_us(std::string_view name) {
  switch (name.size()) {
    case 9:
      return iequals(name, "Forwarded");
    case 13:
      return iequals(name, "Salad-Api-Key");
    case 15:
      return iequals(name, "X-Forwarded-For");
    case 16:
      return iequals(name, "X-Forwarded-Host");
    case 17:
      return iequals(name, "X-Forwarded-Proto");
    default:
      return false;
  }
}

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 261) return false;
  for (const char c : host) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == ':' || c == '_' || c == '[' || c == ']';
    if (!fine) return false;
  }
  return true;
}

std::optional<Refusal> find_host(RequestHead& head, RequestPlan& plan) {
  size_t count = 0;
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const HeaderList::View field = head.headers[i];
    if (field.name.size() != 4 || !iequals(field.name, "Host")) continue;
    ++count;
    plan.host = field.value;
  }
  // An absolute target names the host itself, and overrules the header.
  if (std::optional<std::string> host = take_authority(head.target)) {
    plan.host = *std::move(host);
    count = std::min<size_t>(count, 1);
  }
  if (count > 1) return Refusal{400, "bad_host", "the request has several Host headers"};
  if (!is_host(plan.host)) return Refusal{400, "bad_host", "the request names no valid host"};
  return std::nullopt;
}

void append_forwarded(const HeaderList& headers, const RequestPlan& plan,
                      const Forwarding& forwarding, std::string& out) {
  std::string chain;
  std::string forwarded;
  std::string_view scheme = forwarding.scheme;
  std::string_view host = plan.host;
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers[i];
    if (!is_written_by_us(name)) continue;
    if (name.size() == 15) chain.append(value).append(", ");
    if (name.size() == 9) forwarded.append(value).append(", ");
    if (!forwarding.trust_client) continue;
    if (name.size() == 17) scheme = value;
    if (name.size() == 16) host = value;
  }
  const std::string& address = forwarding.client_address;
  out.append("X-Forwarded-For: ").append(chain).append(address).append("\r\n");
  append_field("X-Forwarded-Host", host, out);
  append_field("X-Forwarded-Proto", scheme, out);
  out.append("Forwarded: ").append(forwarded).append("for=");
  const bool quoted = address.find(':') != std::string::npos;  // IPv6, RFC 7239 §6
  out.append(quoted ? "\"[" : "").append(address).append(quoted ? "]\"" : "");
  out.append(";host=\"").append(host).append("\";proto=").append(scheme).append("\r\n");
}

}  // namespace

std::optional<Refusal> plan_request(RequestHead& head, BodyFraming framing, bool keep_alive,
                                    RequestPlan& plan) {
  plan.framing = framing;
  plan.keep_alive = keep_alive;
  plan.http_1_0 = head.http_1_0;
  plan.to_head = head.method == "HEAD";
  plan.repeatable = is_idempotent(head.method);
  if (const auto accept = head.headers.find("Accept")) plan.wants_html = prefers_html(*accept);
  if (head.headers.size() > kHeadersMax) {
    return Refusal{400, "bad_request", fmt::format("more than {} headers", kHeadersMax)};
  }
  if (auto refusal = find_host(head, plan)) return refusal;
  if (head.method == "CONNECT") {
    return Refusal{501, "method_not_supported", "CONNECT is for proxies of another kind"};
  }
  const auto encoding = head.headers.find("Transfer-Encoding");
  if (encoding && head.http_1_0) {
    return Refusal{400, "bad_request", "HTTP/1.0 has no transfer encodings"};
  }
  if (encoding && !iequals(*encoding, "chunked")) {
    return Refusal{501, "encoding_not_supported", "the only transfer encoding is chunked"};
  }
  plan.websocket = !head.http_1_0 && head.method == "GET" &&
                   head.headers.has_token("Upgrade", "websocket") &&
                   head.headers.has_token("Connection", "upgrade");
  return std::nullopt;
}

void append_request_head(const RequestHead& head, const RequestPlan& plan,
                         const Forwarding& forwarding, std::string& out) {
  append_start_line(head, out);
  append_field("Host", plan.host, out);
  append_end_to_end(head.headers, out, [](std::string_view name) {
    return is_written_by_us(name) || (name.size() == 4 && iequals(name, "Host"));
  });
  append_forwarded(head.headers, plan, forwarding, out);
  append_request_framing(head.headers, plan.framing, out);
  if (plan.websocket) append_upgrade("websocket", out);
  out.append("\r\n");
}

void append_answer_head(const ResponseHead& head, const AnswerPlan& plan, std::string& out) {
  append_answer_head(head, plan, out, [](std::string_view name) {
    return name.size() == kGatewayErrorHeader.size() && iequals(name, kGatewayErrorHeader);
  });
}

void append_last_chunk(const HeaderList& trailers, std::string& out) {
  append_last_chunk(trailers, out, is_written_by_us);
}

}  // namespace mesclun::gateway
