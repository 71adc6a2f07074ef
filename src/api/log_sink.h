// Where the output of a group's containers goes beside our own log (api.md §4.3): one place at most.
#pragma once

#include <optional>

#include "base/json.h"

namespace mesclun::api {

struct NameAndValue {
  std::string name;
  std::string value;
};
BOOST_DESCRIBE_STRUCT(NameAndValue, (), (name, value))

struct AxiomSink {
  std::string host;
  std::string api_token;
  std::string dataset;
};
BOOST_DESCRIBE_STRUCT(AxiomSink, (), (host, api_token, dataset))

struct DatadogSink {
  std::string host;
  std::string api_key;
  std::vector<NameAndValue> tags;
};
BOOST_DESCRIBE_STRUCT(DatadogSink, (), (host, api_key, tags))

enum class SinkFormat { Json, JsonLines };
enum class SinkCompression { None, Gzip };

struct HttpSink {
  std::string host;
  int32_t port = 0;
  SinkFormat format = SinkFormat::Json;
  SinkCompression compression = SinkCompression::None;
  std::vector<NameAndValue> headers;
  std::optional<std::string> path;
  std::optional<std::string> user;
  std::optional<std::string> password;
};
BOOST_DESCRIBE_STRUCT(HttpSink, (),
                      (host, port, format, compression, headers, path, user, password))

struct NewRelicSink {
  std::string host;
  std::string ingestion_key;
};
BOOST_DESCRIBE_STRUCT(NewRelicSink, (), (host, ingestion_key))

struct SplunkSink {
  std::string host;
  std::string token;
};
BOOST_DESCRIBE_STRUCT(SplunkSink, (), (host, token))

// Always over TLS.
struct TcpSink {
  std::string host;
  int32_t port = 0;
};
BOOST_DESCRIBE_STRUCT(TcpSink, (), (host, port))

struct LogSink {
  std::optional<AxiomSink> axiom;
  std::optional<DatadogSink> datadog;
  std::optional<HttpSink> http;
  std::optional<NewRelicSink> new_relic;
  std::optional<SplunkSink> splunk;
  std::optional<TcpSink> tcp;
};
BOOST_DESCRIBE_STRUCT(LogSink, (), (axiom, datadog, http, new_relic, splunk, tcp))

// Checks a group's `logging` and brings it into the form of an answer, which has the secrets too: the
// contract requires them there, and a patch is applied to it. Without a sink it becomes nothing.
void complete_logging(std::optional<json::object>& logging, const JsonPath& path,
                      JsonProblems& problems);
// Of what complete_logging() let pass. Nothing for anything else.
std::optional<LogSink> read_log_sink(const json::object& logging);
// A patch that names another sink takes the place of the one there was: a member-wise merge would
// leave two.
void replace_sink(json::object& logging, const json::object& patch);

}  // namespace mesclun::api

template <>
struct mesclun::JsonEnum<mesclun::api::SinkFormat> {
  using enum mesclun::api::SinkFormat;
  static constexpr std::pair<mesclun::api::SinkFormat, std::string_view> kNames[] = {
      {Json, "json"}, {JsonLines, "json_lines"}};
};
template <>
struct mesclun::JsonEnum<mesclun::api::SinkCompression> {
  using enum mesclun::api::SinkCompression;
  static constexpr std::pair<mesclun::api::SinkCompression, std::string_view> kNames[] = {
      {None, "none"}, {Gzip, "gzip"}};
};
