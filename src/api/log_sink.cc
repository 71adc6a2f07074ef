#include "api/log_sink.h"

#include "api/checks.h"

namespace mesclun::api {

namespace {

constexpr size_t kTextMax = 1000;
constexpr size_t kItemsMax = 1000;
constexpr std::string_view kSinks[] = {"axiom", "datadog", "http", "new_relic", "splunk", "tcp"};

// On one line: published clients check answers so, and a header has no other.
void check_text(std::string_view text, const JsonPath& path, JsonProblems& problems) {
  check_length(text, 1, kTextMax, path, problems);
  const bool control = std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
  if (control) problems.add(path, "must be one line without control characters");
}

void check_host(std::string_view host, const JsonPath& parent, JsonProblems& problems) {
  const JsonPath path = parent / "host";
  check_text(host, path, problems);
  const bool plain = std::ranges::all_of(host, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._:").contains(c);
  });
  if (!plain) problems.add(path, "must be a host name or an address, without scheme and path");
}

void check_port(int32_t port, const JsonPath& parent, JsonProblems& problems) {
  check_range(port, 1, 65535, parent / "port", problems);
}

void check_items(const std::vector<NameAndValue>& items, const JsonPath& path,
                 JsonProblems& problems) {
  check_count(items.size(), 0, kItemsMax, path, problems);
  for (size_t i = 0; i < items.size(); ++i) {
    const JsonPath item{.parent = &path, .index = static_cast<int64_t>(i)};
    check_text(items[i].name, item / "name", problems);
    check_text(items[i].value, item / "value", problems);
  }
}

void check(const AxiomSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_text(sink.api_token, path / "api_token", problems);
  check_text(sink.dataset, path / "dataset", problems);
}
void check(const DatadogSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_text(sink.api_key, path / "api_key", problems);
  check_items(sink.tags, path / "tags", problems);
}
void check(const HttpSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_port(sink.port, path, problems);
  const JsonPath headers = path / "headers";
  check_items(sink.headers, headers, problems);
  for (size_t i = 0; i < sink.headers.size(); ++i) {
    const bool token = std::ranges::all_of(sink.headers[i].name, [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
             std::string_view("!#$%&'*+-.^_`|~").contains(c);
    });
    const JsonPath item{.parent = &headers, .index = static_cast<int64_t>(i)};
    if (!token) problems.add(item / "name", "must be the name of an HTTP header");
  }
  if (sink.path) {
    check_text(*sink.path, path / "path", problems);
    const bool plain =
        std::ranges::all_of(*sink.path, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!plain) problems.add(path / "path", "must be percent-encoded");
  }
  if (sink.user) check_text(*sink.user, path / "user", problems);
  if (sink.password) check_text(*sink.password, path / "password", problems);
}
void check(const NewRelicSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_text(sink.ingestion_key, path / "ingestion_key", problems);
}
void check(const SplunkSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_text(sink.token, path / "token", problems);
}
void check(const TcpSink& sink, const JsonPath& path, JsonProblems& problems) {
  check_host(sink.host, path, problems);
  check_port(sink.port, path, problems);
}

}  // namespace

void complete_logging(std::optional<json::object>& logging, const JsonPath& path,
                      JsonProblems& problems) {
  if (!logging) return;
  LogSink sink;
  const bool readable = problems.empty();
  read_json(json::value(*logging), sink, path, problems);
  if (readable && !problems.empty()) return;
  size_t sinks = 0;
  const auto look = [&](const auto& one, std::string_view name) {
    if (!one) return;
    ++sinks;
    check(*one, path / name, problems);
  };
  look(sink.axiom, "axiom");
  look(sink.datadog, "datadog");
  look(sink.http, "http");
  look(sink.new_relic, "new_relic");
  look(sink.splunk, "splunk");
  look(sink.tcp, "tcp");
  if (sinks > 1) problems.add(path, "must name one sink, not several");
  if (sinks == 0) {
    logging.reset();
  } else {
    logging = write_json(sink).get_object();
  }
}

std::optional<LogSink> read_log_sink(const json::object& logging) {
  LogSink sink;
  JsonProblems problems;
  read_json(json::value(logging), sink, JsonPath{}, problems);
  if (!problems.empty()) return std::nullopt;
  return sink;
}

void replace_sink(json::object& logging, const json::object& patch) {
  const bool names_one = std::ranges::any_of(kSinks, [&patch](std::string_view name) {
    const json::value* found = patch.if_contains(name);
    return found != nullptr && !found->is_null();
  });
  if (!names_one) return;
  for (const std::string_view name : kSinks) {
    const json::value* found = patch.if_contains(name);
    if (found == nullptr || found->is_null()) logging.erase(name);
  }
}

}  // namespace mesclun::api
