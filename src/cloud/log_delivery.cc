#include "cloud/log_delivery.h"

#include <fmt/format.h>

#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/crc.hpp>

#include "http/client.h"
#include "http/url.h"

namespace mesclun::cloud {

namespace {

constexpr uint16_t kHttpsPort = 443;
constexpr uint16_t kSplunkPort = 8088;

std::string joined(std::span<const std::string> records, std::string_view before,
                   std::string_view between, std::string_view behind) {
  return fmt::format("{}{}{}", before, fmt::join(records, between), behind);
}

std::string array_of(std::span<const std::string> records) {
  return joined(records, "[", ",", "]");
}

// "host" or "host:port", as these services' own settings have it.
SinkAddress service_at(const std::string& host, uint16_t port) {
  SinkAddress address;
  const Result<Endpoint> endpoint = parse_endpoint(host, port);
  address.endpoint =
      endpoint && !endpoint->is_unix ? *endpoint : Endpoint{.host = host, .port = port};
  address.host = address.endpoint.host;
  return address;
}

HttpCall post(std::string target, std::string body) {
  HttpCall call{.method = "POST", .target = std::move(target), .body = std::move(body)};
  call.headers.set("Content-Type", "application/json");
  return call;
}

// These are ours to say.
bool is_own_header(std::string_view name) {
  for (const char* own : {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade",
                          "Content-Encoding", "Expect", "TE", "Trailer"}) {
    if (iequals(name, own)) return true;
  }
  return false;
}

HttpCall http_call_of(const api::HttpSink& sink, std::span<const std::string> records) {
  std::string target = sink.path.value_or("/");
  if (!target.starts_with('/')) target.insert(0, "/");
  const bool lines = sink.format == api::SinkFormat::JsonLines;
  HttpCall call = post(std::move(target), lines ? lines_of(records) : array_of(records));
  if (lines) call.headers.set("Content-Type", "application/x-ndjson");
  if (sink.compression == api::SinkCompression::Gzip) {
    call.body = gzip(call.body);
    call.headers.set("Content-Encoding", "gzip");
  }
  if (sink.user) {
    call.headers.set("Authorization", basic_authorization(*sink.user, sink.password.value_or("")));
  }
  for (const api::NameAndValue& header : sink.headers) {
    if (!is_own_header(header.name)) call.headers.set(header.name, header.value);
  }
  return call;
}

std::string tags_of(const api::DatadogSink& sink) {
  std::string tags;
  for (const api::NameAndValue& tag : sink.tags) {
    tags += fmt::format("{}{}:{}", tags.empty() ? "" : ",", tag.name, tag.value);
  }
  return tags;
}

}  // namespace

std::string record_text(const api::LogSink& sink, const SinkRecord& record) {
  const std::string time = format_rfc3339(from_unix_nanos(record.time));
  json::object out;
  if (sink.axiom) {
    out["_time"] = time;
  } else if (sink.new_relic || sink.datadog) {
    out["timestamp"] = record.time / 1'000'000;
  } else {
    out["time"] = time;
  }
  out[sink.datadog || sink.new_relic ? "message" : "log"] = record.text;
  out["stream"] = record.stream;
  out["project_name"] = record.project_name;
  out["container_group_name"] = record.group_name;
  out["container_group_version"] = std::to_string(record.version);
  out["instance_id"] = record.instance_id;
  out["machine_id"] = record.machine_id;
  if (sink.datadog) {
    out["ddsource"] = "mesclun";
    out["service"] = record.group_name;
    if (!sink.datadog->tags.empty()) out["ddtags"] = tags_of(*sink.datadog);
  }
  if (!sink.splunk) return json::serialize(out);
  json::object event;
  event["time"] = static_cast<double>(record.time / 1'000'000) / 1000;
  event["event"] = std::move(out);
  return json::serialize(event);
}

SinkAddress address_of(const api::LogSink& sink) {
  if (sink.tcp) {
    return {.endpoint = {.host = sink.tcp->host, .port = static_cast<uint16_t>(sink.tcp->port)},
            .tls = true,
            .host = sink.tcp->host};
  }
  if (sink.http) {
    const auto port = static_cast<uint16_t>(sink.http->port);
    return {.endpoint = {.host = sink.http->host, .port = port},
            .tls = port == kHttpsPort,
            .host = sink.http->host};
  }
  if (sink.splunk) return service_at(sink.splunk->host, kSplunkPort);
  if (sink.axiom) return service_at(sink.axiom->host, kHttpsPort);
  if (sink.datadog) return service_at(sink.datadog->host, kHttpsPort);
  return service_at(sink.new_relic ? sink.new_relic->host : std::string(), kHttpsPort);
}

std::optional<HttpCall> call_of(const api::LogSink& sink, std::span<const std::string> records) {
  if (sink.http) return http_call_of(*sink.http, records);
  if (sink.axiom) {
    HttpCall call = post(fmt::format("/v1/datasets/{}/ingest", percent_encode(sink.axiom->dataset)),
                         array_of(records));
    call.headers.set("Authorization", "Bearer " + sink.axiom->api_token);
    return call;
  }
  if (sink.datadog) {
    HttpCall call = post("/api/v2/logs", array_of(records));
    call.headers.set("DD-API-KEY", sink.datadog->api_key);
    return call;
  }
  if (sink.new_relic) {
    HttpCall call = post("/log/v1", array_of(records));
    call.headers.set("Api-Key", sink.new_relic->ingestion_key);
    return call;
  }
  if (sink.splunk) {
    HttpCall call = post("/services/collector/event", lines_of(records));
    call.headers.set("Authorization", "Splunk " + sink.splunk->token);
    return call;
  }
  return std::nullopt;
}

std::string lines_of(std::span<const std::string> records) {
  return joined(records, "", "\n", "\n");
}

// RFC 1952: a head, the deflated text, its checksum and length.
std::string gzip(std::string_view text) {
  namespace zlib = boost::beast::zlib;
  zlib::deflate_stream stream;
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  const size_t head = out.size();
  out.resize(head + stream.upper_bound(text.size()) + 16);
  zlib::z_params params;
  params.next_in = text.data();
  params.avail_in = text.size();
  params.next_out = out.data() + head;
  params.avail_out = out.size() - head;
  boost::beast::error_code error;
  stream.write(params, zlib::Flush::finish, error);
  out.resize(head + params.total_out);
  boost::crc_32_type checksum;
  checksum.process_bytes(text.data(), text.size());
  for (const uint32_t number :
       {static_cast<uint32_t>(checksum.checksum()), static_cast<uint32_t>(text.size())}) {
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(number >> shift);
  }
  return out;
}

}  // namespace mesclun::cloud
