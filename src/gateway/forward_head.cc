#include "gateway/forward_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "http/forward.h"

namespace mesclun::gateway {

namespace {

// Headers that concern one connection only, and those that we write ourselves.
bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return iequals(name, "TE");
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

// A Connection header may name more headers that end here. Most name only these.
class NamedByConnection {
 public:
  explicit NamedByConnection(const HeaderList& headers) : headers_(headers) {
    const auto value = headers.find("Connection");
    any_ = value && !iequals(*value, "keep-alive") && !iequals(*value, "close") &&
           !iequals(*value, "upgrade");
  }
  bool has(std::string_view name) const {
    // Nobody may take away what says where the message goes.
    return any_ && !iequals(name, "Host") && headers_.has_token("Connection", name);
  }

 private:
  const HeaderList& headers_;
  bool any_;
};

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_number(uint64_t value, int base, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value, base).ptr);
}

// An absolute target ("GET http://host/path") names the host itself, and overrules the header.
bool split_absolute(RequestHead& head, std::string& host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!iequals(std::string_view(head.target).substr(0, scheme.size()), scheme)) continue;
    const std::string rest = head.target.substr(scheme.size());
    const size_t end = std::min(rest.find_first_of("/?"), rest.size());
    host = rest.substr(0, end);
    head.target = rest.substr(end);
    if (!head.target.starts_with('/')) head.target.insert(0, "/");
    return true;
  }
  return false;
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
  if (split_absolute(head, plan.host)) count = std::min<size_t>(count, 1);
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
  out.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  const NamedByConnection named(head.headers);
  append_field("Host", plan.host, out);
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const auto [name, value] = head.headers[i];
    if (is_hop_by_hop(name) || is_written_by_us(name) || named.has(name)) continue;
    if (name.size() == 4 && iequals(name, "Host")) continue;
    append_field(name, value, out);
  }
  if (head.headers.has_token("TE", "trailers")) append_field("TE", "trailers", out);
  append_forwarded(head.headers, plan, forwarding, out);
  if (plan.framing.kind == BodyFraming::Kind::Chunked) {
    append_field("Transfer-Encoding", "chunked", out);
  } else if (head.headers.has("Content-Length")) {
    out.append("Content-Length: ");
    append_number(plan.framing.length, 10, out);
    out.append("\r\n");
  }
  if (plan.websocket) out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  out.append("\r\n");
}

ResponsePlan plan_response(const RequestPlan& request, BodyFraming framing, bool has_body,
                           bool may_keep_alive) {
  ResponsePlan plan;
  plan.keep_alive = may_keep_alive;
  if (!has_body) return plan;
  plan.framing = framing.kind;
  if (framing.kind == BodyFraming::Kind::Length) return plan;
  // An end that only the close tells would cost the client its connection; HTTP/1.0 has no chunks.
  plan.framing = request.http_1_0 ? BodyFraming::Kind::UntilClose : BodyFraming::Kind::Chunked;
  if (request.http_1_0) plan.keep_alive = false;
  return plan;
}

void append_response_head(const ResponseHead& head, const RequestPlan& request,
                          const ResponsePlan& plan, std::string& out) {
  out.append("HTTP/1.1 ");
  append_number(static_cast<uint64_t>(head.status), 10, out);
  out.append(" ").append(head.reason).append("\r\n");
  const NamedByConnection named(head.headers);
  std::optional<std::string_view> length;
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const auto [name, value] = head.headers[i];
    if (name.size() == 14 && iequals(name, "Content-Length")) length = value;
    if (is_hop_by_hop(name) || named.has(name)) continue;
    // Only an answer of our own says that it is one.
    if (name.size() == kGatewayErrorHeader.size() && iequals(name, kGatewayErrorHeader)) continue;
    append_field(name, value, out);
  }
  if (plan.framing == BodyFraming::Kind::Chunked) {
    append_field("Transfer-Encoding", "chunked", out);
  } else if (length && head.status != 204) {
    append_field("Content-Length", *length, out);
  }
  if (head.status == 101) {
    out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  } else if (!plan.keep_alive) {
    append_field("Connection", "close", out);
  } else if (request.http_1_0) {
    append_field("Connection", "keep-alive", out);
  }
  out.append("\r\n");
}

void append_interim_head(const ResponseHead& head, std::string& out) {
  out.append("HTTP/1.1 ");
  append_number(static_cast<uint64_t>(head.status), 10, out);
  out.append(" ").append(head.reason).append("\r\n");
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const auto [name, value] = head.headers[i];
    if (!is_hop_by_hop(name)) append_field(name, value, out);
  }
  out.append("\r\n");
}

void append_chunk_start(size_t size, std::string& out) {
  append_number(size, 16, out);
  out.append("\r\n");
}

void append_last_chunk(const HeaderList& trailers, std::string& out) {
  out.append("0\r\n");
  for (size_t i = 0; i < trailers.size(); ++i) {
    const auto [name, value] = trailers[i];
    if (is_hop_by_hop(name) || is_written_by_us(name) || iequals(name, "Host")) continue;
    append_field(name, value, out);
  }
  out.append("\r\n");
}

}  // namespace mesclun::gateway
