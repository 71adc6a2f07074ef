#include "gateway/forward_head.h"

#include <algorithm>

#include "http/load_report.h"

namespace mesclun::gateway {

namespace {

bool starts_like(std::string_view name, std::string_view start) {
  return iequals(name.substr(0, start.size()), start);
}

// What says where a request came from, and what our own parts say to applications: from a stranger
// it is a claim. X-Forwarded-Port and whatever else of that kind too.
bool is_written_by_us(std::string_view name) {
  switch (name.front()) {
    case 'E':
    case 'e':
      return iequals(name, kLoadFormatHeader);
    case 'F':
    case 'f':
      return iequals(name, "Forwarded");
    case 'S':
    case 's':
      return starts_like(name, "Salad-");
    case 'X':
    case 'x':
      return starts_like(name, "X-Forwarded-") || iequals(name, "X-Real-IP") ||
             iequals(name, kRequestIdHeader);
    default:
      return false;
  }
}

bool is_api_key(std::string_view name) {
  return name.size() == 13 && iequals(name, "Salad-Api-Key");
}

// Every quote is closed, so that what follows a list is not swallowed (RFC 7239 §4).
bool is_closed(std::string_view list) {
  bool quoted = false;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '"') quoted = !quoted;
    if (quoted && list[i] == '\\') ++i;
  }
  return !quoted;
}

bool is_plain(std::string_view value) {
  return value.find_first_of("\"\\,; \t") == std::string_view::npos;
}

// What a proxy of ours has said; empty without one.
struct Said {
  std::string chain;  // each with ", " behind it
  std::string forwarded;
  std::string_view scheme;
  std::string_view host;
  std::string_view real_ip;
};

Said said_before(const HeaderList& headers) {
  Said said;
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers[i];
    if (!is_written_by_us(name) || value.empty()) continue;
    if (iequals(name, "X-Forwarded-For")) said.chain.append(value).append(", ");
    if (iequals(name, "Forwarded") && is_closed(value)) said.forwarded.append(value).append(", ");
    if (iequals(name, "X-Forwarded-Proto") && is_plain(value)) said.scheme = value;
    if (iequals(name, "X-Forwarded-Host") && is_plain(value)) said.host = value;
    if (iequals(name, "X-Real-IP")) said.real_ip = value;
  }
  return said;
}

void append_forwarded(const HeaderList& headers, const RequestPlan& plan,
                      const Forwarding& forwarding, std::string& out) {
  const Said said = forwarding.trust_client ? said_before(headers) : Said{};
  const std::string& address = forwarding.client_address;
  const std::string_view scheme = said.scheme.empty() ? forwarding.scheme : said.scheme;
  const std::string_view host = said.host.empty() ? std::string_view(plan.host) : said.host;
  out.append("X-Forwarded-For: ").append(said.chain).append(address).append("\r\n");
  append_field("X-Forwarded-Host", host, out);
  append_field("X-Forwarded-Proto", scheme, out);
  if (!plan.prefix.empty()) append_field("X-Forwarded-Prefix", plan.prefix, out);
  append_field("X-Real-IP", said.real_ip.empty() ? std::string_view(address) : said.real_ip, out);
  out.append("Forwarded: ").append(said.forwarded).append("for=");
  const bool quoted = address.find(':') != std::string::npos;  // IPv6, RFC 7239 §6
  out.append(quoted ? "\"[" : "").append(address).append(quoted ? "]\"" : "");
  out.append(";host=\"").append(host).append("\";proto=").append(scheme).append("\r\n");
}

// Goes on as it came, from a proxy of ours.
bool is_only_claimed(std::string_view name) {
  return starts_like(name, "Salad-")
             ? !is_api_key(name)
             : starts_like(name, "X-Forwarded-") && name.size() > 12 &&
                   !iequals(name, "X-Forwarded-For") && !iequals(name, "X-Forwarded-Host") &&
                   !iequals(name, "X-Forwarded-Proto");
}

}  // namespace

void take_path_name(RequestHead& head, RequestPlan& plan) {
  if (!head.target.starts_with("/@")) return;
  const size_t end = std::min(head.target.find_first_of("/?", 2), head.target.size());
  const std::string_view name = std::string_view(head.target).substr(2, end - 2);
  if (name.empty() || !is_plain(name)) return;
  head.host = name;
  if (name.find('.') == std::string_view::npos) head.host += ".localhost";
  plan.prefix = head.target.substr(0, end);
  head.target.erase(0, end);
  if (!head.target.starts_with('/')) head.target.insert(0, "/");
}

std::optional<Refusal> plan_request(RequestHead& head, BodyFraming framing, bool keep_alive,
                                    RequestPlan& plan) {
  plan.framing = framing;
  plan.keep_alive = keep_alive;
  plan.http_1_0 = head.http_1_0;
  plan.to_head = head.method == "HEAD";
  plan.repeatable = is_idempotent(head.method) || head.headers.has("Idempotency-Key");
  if (const auto accept = head.headers.find("Accept")) plan.wants_html = prefers_html(*accept);
  plan.host = std::move(head.host);
  if (plan.host.empty()) return kNoHost;
  if (head.method == "CONNECT") {
    return Refusal{501, "method_not_supported", "CONNECT is for proxies of another kind"};
  }
  plan.websocket = !head.http_1_0 && head.method == "GET" &&
                   head.headers.has_token("Upgrade", "websocket") &&
                   head.headers.has_token("Connection", "upgrade");
  // Its bytes would be taken for the new protocol's.
  if (plan.websocket && framing.kind != BodyFraming::Kind::None) {
    return Refusal{400, "bad_request", "a request to upgrade has no body"};
  }
  return std::nullopt;
}

void append_request_head(const RequestHead& head, const RequestPlan& plan,
                         const Forwarding& forwarding, std::string& out) {
  append_start_line(head, out);
  append_field("Host", plan.host, out);
  const bool trust = forwarding.trust_client;
  append_end_to_end(head.headers, out, [trust](std::string_view name) {
    if (is_written_by_us(name)) return !trust || !is_only_claimed(name);
    return name.size() == 4 && iequals(name, "Host");
  });
  append_forwarded(head.headers, plan, forwarding, out);
  append_request_framing(head.headers, plan.framing, out);
  if (!forwarding.request_id.empty()) append_field(kRequestIdHeader, forwarding.request_id, out);
  if (forwarding.ask_for_load) append_field(kLoadFormatHeader, kLoadFormatText, out);
  if (plan.websocket) append_upgrade("websocket", out);
  out.append("\r\n");
}

std::string_view request_id_of(const RequestHead& head) {
  constexpr size_t kLengthMax = 128;
  const auto id = head.headers.find(kRequestIdHeader);
  if (!id || id->empty() || id->size() > kLengthMax) return {};
  const bool plain = std::ranges::all_of(*id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
  });
  return plain ? *id : std::string_view();
}

void append_relayed_head(const ResponseHead& head, const AnswerPlan& plan,
                         std::string_view request_id, std::string& out) {
  append_start_line(head, out);
  append_end_to_end(head.headers, out, [](std::string_view name) {
    const auto is = [name](std::string_view own) {
      return name.size() == own.size() && iequals(name, own);
    };
    return is(kRequestIdHeader) || is(kGatewayErrorHeader) || is(kLoadReportHeader);
  });
  if (!request_id.empty()) append_field(kRequestIdHeader, request_id, out);
  append_answer_end(head, plan, out);
}

void append_last_chunk(const HeaderList& trailers, std::string& out) {
  append_last_chunk(trailers, out, is_written_by_us);
}

}  // namespace mesclun::gateway
