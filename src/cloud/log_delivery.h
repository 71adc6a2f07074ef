// How lines look that go to a log sink (lifecycle.md §13): pure, without a network.
#pragma once

#include <span>

#include "api/log_sink.h"
#include "http/client.h"

namespace mesclun::cloud {

// A line, and what is known of it.
struct SinkRecord {
  int64_t time = 0;  // unix ns
  std::string stream;
  std::string text;
  std::string project_name;
  std::string group_name;
  std::string instance_id;
  std::string machine_id;
  int32_t version = 1;
};

// One JSON object: time, log, stream and the labels, under the names that the sink's service has for
// time and line. Without a line break.
std::string record_text(const api::LogSink& sink, const SinkRecord& record);

// Where a sink is.
struct SinkAddress {
  Endpoint endpoint;
  bool tls = true;
  std::string host;  // for the Host header and the certificate
};
SinkAddress address_of(const api::LogSink& sink);

// One call that brings the records; nothing for a sink that is spoken to without HTTP (tcp).
std::optional<HttpCall> call_of(const api::LogSink& sink, std::span<const std::string> records);
// What such a one is sent: a record a line.
std::string lines_of(std::span<const std::string> records);

std::string gzip(std::string_view text);

}  // namespace mesclun::cloud
