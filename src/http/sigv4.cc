#include "http/sigv4.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/crypto.h"
#include "base/ids.h"
#include "base/text.h"
#include "http/url.h"

namespace mesclun {

namespace {

// What proxies and our own writer may add, change or drop.
constexpr std::string_view kUnsigned[] = {"authorization", "connection",        "content-length",
                                          "expect",        "transfer-encoding", "user-agent"};

// Trimmed, and runs of spaces become one.
std::string squeeze(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// 20130524T000000Z, from 2013-05-24T00:00:00.0000000+00:00.
std::string amz_date(WallTime now) {
  const std::string text = format_rfc3339(now);
  std::string out;
  for (const char c : std::string_view(text).substr(0, 19)) {
    if (c != '-' && c != ':') out += c;
  }
  return out + 'Z';
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> fields;
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), field.size() + 1));
    if (field.empty()) continue;
    const size_t equals = field.find('=');
    const auto encoded = [](std::string_view raw) {
      return percent_encode(percent_decode(raw).value_or(std::string(raw)));
    };
    fields.emplace_back(encoded(field.substr(0, equals)), equals == std::string_view::npos
                                                              ? std::string()
                                                              : encoded(field.substr(equals + 1)));
  }
  std::sort(fields.begin(), fields.end());
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += name + '=' + value;
  }
  return out;
}

struct CanonicalHeaders {
  std::string lines;  // "host:example.com\n..."
  std::string names;  // "host;x-amz-date"
};

CanonicalHeaders canonical_headers(const HeaderList& headers) {
  std::map<std::string, std::string> sorted;
  for (size_t i = 0; i < headers.size(); ++i) {
    std::string name = lower_case(headers[i].name);
    if (std::ranges::find(kUnsigned, name) != std::end(kUnsigned)) continue;
    std::string& value = sorted[std::move(name)];
    if (!value.empty()) value += ',';
    value += squeeze(headers[i].value);
  }
  CanonicalHeaders out;
  for (const auto& [name, value] : sorted) {
    out.lines += name + ':' + value + '\n';
    if (!out.names.empty()) out.names += ';';
    out.names += name;
  }
  return out;
}

}  // namespace

void sign_v4(HttpCall& call, std::string_view host, const SigningKey& key, WallTime now,
             std::string_view payload_sha256) {
  const std::string time = amz_date(now);
  const std::string date = time.substr(0, 8);
  call.headers.set("Host", host);
  call.headers.set("X-Amz-Date", time);
  call.headers.set("X-Amz-Content-Sha256", payload_sha256);

  const std::string_view target = call.target;
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  const std::string_view query =
      question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  const CanonicalHeaders headers = canonical_headers(call.headers);
  const std::string request =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", call.method, path.empty() ? "/" : path,
                  canonical_query(query), headers.lines, headers.names, payload_sha256);
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", date, key.region, key.service);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, scope, sha256_hex(request));

  std::string secret = hmac_sha256("AWS4" + key.secret_access_key, date);
  for (const std::string_view part : {std::string_view(key.region), std::string_view(key.service),
                                      std::string_view("aws4_request")}) {
    secret = hmac_sha256(secret, part);
  }
  call.headers.set(
      "Authorization",
      fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                  key.access_key_id, scope, headers.names, to_hex(hmac_sha256(secret, to_sign))));
}

}  // namespace mesclun
