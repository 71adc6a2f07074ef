#include "http/head_rules.h"

#include <algorithm>
#include <utility>

#include "http/url.h"

namespace mesclun {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A name or an address, perhaps with a port. Nothing else may stand in a log, a header or a table.
bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 261) return false;
  size_t name_end = host.size();
  if (host.front() == '[') {
    name_end = host.find(']');
    if (name_end == std::string_view::npos) return false;
    const auto fine = [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    };
    if (name_end == 1 || !std::ranges::all_of(host.substr(1, name_end - 1), fine)) return false;
    ++name_end;
  } else {
    name_end = std::min(host.find(':'), host.size());
    const auto fine = [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
             c == '.' || c == '_';
    };
    if (name_end == 0 || !std::ranges::all_of(host.substr(0, name_end), fine)) return false;
  }
  std::string_view port = host.substr(name_end);
  if (port.empty()) return true;
  port.remove_prefix(1);
  return host[name_end] == ':' && port.size() <= 5 && std::ranges::all_of(port, is_digit);
}

bool is_target_char(char c) {
  return c > ' ' && c < '\x7f' && c != '#';
}

// A port that its scheme has anyway says nothing.
std::string_view without_port(std::string_view host, std::string_view port) {
  return host.ends_with(port) ? host.substr(0, host.size() - port.size()) : host;
}

bool is_same_host(std::string_view a, std::string_view b, bool https) {
  const std::string_view port = https ? ":443" : ":80";
  return iequals(without_port(a, port), without_port(b, port));
}

}  // namespace

HeadRules::Complaint HeadRules::field(Field field, std::string_view value, bool http_1_0) {
  if (++fields_ > kFieldsMax) return "more than 200 headers";
  switch (field) {
    case Field::Connection:
      return connection(value);
    case Field::ContentLength:
      if (std::exchange(has_length_, true)) return "several Content-Length";
      if (value.empty() || !std::ranges::all_of(value, is_digit)) {
        return "Content-Length is not a number";
      }
      break;
    case Field::Host:
      ++hosts_;
      break;
    case Field::TransferEncoding:
      if (http_1_0) return "HTTP/1.0 has no transfer encodings";
      if (std::exchange(has_encoding_, true) || !iequals(value, "chunked")) {
        return "the only transfer encoding is chunked";
      }
      break;
    case Field::Other:
      break;
  }
  return std::nullopt;
}

HeadRules::Complaint HeadRules::connection(std::string_view value) {
  while (true) {
    if (++connection_options_ > kConnectionOptionsMax) return "too many Connection options";
    const size_t comma = value.find(',');
    if (iequals(trim_blanks(value.substr(0, comma)), "close")) closes_ = true;
    if (comma == std::string_view::npos) return std::nullopt;
    value.remove_prefix(comma + 1);
  }
}

HeadRules::Complaint HeadRules::request(RequestHead& head) {
  if (!std::ranges::all_of(head.target, is_target_char)) {
    return "the target has characters that must be percent-encoded";
  }
  if (Complaint complaint = host(head)) return complaint;
  if (head.target.starts_with('/')) return std::nullopt;
  if (head.method == "CONNECT") {
    if (is_host(head.target)) return std::nullopt;
    return "the target of CONNECT is not a host and port";
  }
  if (head.target == "*" && head.method == "OPTIONS") return std::nullopt;
  const bool https = iequals(std::string_view(head.target).substr(0, 6), "https:");
  const size_t size = head.target.size();
  const std::optional<std::string> authority = take_authority(head.target);
  if (!authority) return "the target is neither a path nor an http URL";
  if (!is_host(*authority)) return "the target names no valid host";
  if (!head.host.empty() && !is_same_host(head.host, *authority, https)) {
    return "the target and the Host header name different hosts";
  }
  head.host = *authority;
  const bool bare = size == authority->size() + (https ? 8 : 7);
  if (bare && head.method == "OPTIONS") head.target = "*";  // RFC 9112 §3.2.4
  return std::nullopt;
}

HeadRules::Complaint HeadRules::host(RequestHead& head) const {
  if (hosts_ > 1) return "several Host headers";
  if (hosts_ == 0) {
    if (!head.http_1_0) return "the Host header is missing";
    return std::nullopt;
  }
  const std::string_view host = *head.headers.find("Host");
  if (!host.empty() && !is_host(host)) return "the Host header is not a host name";
  head.host = host;
  return std::nullopt;
}

HeadRules::Complaint HeadRules::response(const ResponseHead& head) {
  if (head.status < 100) return "the status is below 100";
  return std::nullopt;
}

}  // namespace mesclun
