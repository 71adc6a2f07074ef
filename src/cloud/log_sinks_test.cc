#include "cloud/log_sinks.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <boost/beast/zlib/inflate_stream.hpp>

#include "base/test_certificate.h"
#include "base/test_folder.h"
#include "base/test_loop.h"
#include "base/tls_server.h"
#include "http/server.h"

namespace mesclun::cloud {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

api::LogSink sink_of(std::string_view text) {
  std::optional<json::object> logging = json::parse(text).as_object();
  JsonProblems problems;
  api::complete_logging(logging, JsonPath{}, problems);
  EXPECT_TRUE(problems.empty()) << problems.summary();
  return api::read_log_sink(*logging).value();
}

std::string problems_of(std::string_view text) {
  std::optional<json::object> logging = json::parse(text).as_object();
  JsonProblems problems;
  api::complete_logging(logging, JsonPath{}, problems);
  return problems.summary();
}

std::string header_of(const HttpCall& call, std::string_view name) {
  return std::string(call.headers.find(name).value_or("none"));
}

std::string gunzip(std::string_view packed, size_t size) {
  std::string out(size, '\0');
  boost::beast::zlib::inflate_stream stream;
  boost::beast::zlib::z_params params;
  params.next_in = packed.data() + 10;
  params.avail_in = packed.size() - 18;
  params.next_out = out.data();
  params.avail_out = out.size();
  boost::beast::error_code error;
  stream.write(params, boost::beast::zlib::Flush::finish, error);
  out.resize(params.total_out);
  return out;
}

TEST(LogSink, ItsSettingsAreChecked) {
  EXPECT_EQ(problems_of(R"({"tcp":{"host":"logs.example.com","port":6514}})"), "");
  EXPECT_THAT(problems_of(R"({"tcp":{"host":"h","port":0}})"), HasSubstr("/tcp/port must be"));
  EXPECT_THAT(problems_of(R"({"tcp":{"host":"https://h/x","port":1}})"), HasSubstr("/tcp/host"));
  EXPECT_THAT(problems_of(R"({"tcp":{"host":"h","port":1},"splunk":{"host":"h","token":"t"}})"),
              HasSubstr("must name one sink"));
  const std::string_view http =
      R"({"http":{"host":"h","port":80,"format":"json","compression":"none")";
  EXPECT_EQ(problems_of(fmt::format("{}}}}}", http)), "");
  EXPECT_THAT(problems_of(fmt::format(R"({},"path":"/a b"}}}})", http)), HasSubstr("/http/path"));
  EXPECT_THAT(problems_of(fmt::format(R"({},"headers":[{{"name":"a b","value":"x"}}]}}}})", http)),
              HasSubstr("/http/headers/0/name"));
  EXPECT_THAT(
      problems_of(fmt::format(R"({},"headers":[{{"name":"a","value":"x\r\ny: z"}}]}}}})", http)),
      HasSubstr("/http/headers/0/value must be one line"));
  EXPECT_THAT(problems_of(R"({"http":{"host":"h","port":80,"format":"xml","compression":"none"}})"),
              HasSubstr("/http/format"));
}

TEST(LogSink, APatchThatNamesAnotherTakesItsPlace) {
  json::object logging = json::parse(R"({"tcp":{"host":"h","port":1}})").as_object();
  api::replace_sink(logging, json::parse(R"({"splunk":{"host":"s"}})").as_object());
  EXPECT_TRUE(logging.empty());
  logging = json::parse(R"({"tcp":{"host":"h","port":1}})").as_object();
  api::replace_sink(logging, json::parse(R"({"tcp":{"port":2}})").as_object());
  EXPECT_EQ(logging.size(), 1u);
}

TEST(LogDelivery, HttpHasItsFormsHeadersAndPassword) {
  const std::vector<std::string> records = {R"({"log":"a"})", R"({"log":"b"})"};
  HttpCall call = *call_of(
      sink_of(R"({"http":{"host":"h","port":80,"format":"json","compression":"none","path":"in",
                  "user":"ann","password":"pw","headers":[{"name":"X-Key","value":"k"},
                  {"name":"content-length","value":"1"}]}})"),
      records);
  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.target, "/in");
  EXPECT_EQ(call.body, R"([{"log":"a"},{"log":"b"}])");
  EXPECT_EQ(header_of(call, "Authorization"), "Basic YW5uOnB3");
  EXPECT_EQ(header_of(call, "X-Key"), "k");
  EXPECT_EQ(header_of(call, "Content-Length"), "none") << "ours to say";
  call = *call_of(
      sink_of(R"({"http":{"host":"h","port":443,"format":"json_lines","compression":"gzip"}})"),
      records);
  EXPECT_EQ(header_of(call, "Content-Encoding"), "gzip");
  EXPECT_EQ(gunzip(call.body, 1000), "{\"log\":\"a\"}\n{\"log\":\"b\"}\n");
  const std::string large(300'000, 'x');
  EXPECT_EQ(gunzip(gzip(large), 400'000), large);
  EXPECT_LT(gzip(large).size(), 10'000u);
}

TEST(LogDelivery, ARecordHasTheLineAndTheLabels) {
  const SinkRecord record{.time = 1'700'000'000'123'456'700,
                          .stream = "stderr",
                          .text = "one\ttwo \"three\"",
                          .project_name = "p",
                          .group_name = "g",
                          .instance_id = "i",
                          .machine_id = "m",
                          .version = 4};
  const api::LogSink tcp = sink_of(R"({"tcp":{"host":"h","port":1}})");
  EXPECT_EQ(json::parse(record_text(tcp, record)),
            json::parse(R"({"time":"2023-11-14T22:13:20.1234567+00:00","log":"one\ttwo \"three\"",
              "stream":"stderr","project_name":"p","container_group_name":"g",
              "container_group_version":"4","instance_id":"i","machine_id":"m"})"));
  const api::LogSink datadog = sink_of(
      R"({"datadog":{"host":"h","api_key":"k","tags":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}})");
  const json::value told = json::parse(record_text(datadog, record));
  EXPECT_EQ(told.at("ddtags"), "a:1,b:2");
  EXPECT_EQ(told.at("message").as_string(), json::string(record.text));
  const api::LogSink splunk = sink_of(R"({"splunk":{"host":"s:9","token":"t"}})");
  EXPECT_EQ(json::parse(record_text(splunk, record)).at("event").at("log").as_string(),
            json::string(record.text));
  EXPECT_EQ(address_of(splunk).endpoint.port, 9);
  EXPECT_EQ(
      address_of(sink_of(R"({"axiom":{"host":"a","api_token":"t","dataset":"d"}})")).endpoint.port,
      443);
}

// Sinks on this machine, and a group that names one.
class LogSinksTest : public testing::Test {
 protected:
  LogSinksTest() { settings_.private_addresses = true; }
  ~LogSinksTest() override {
    if (sinks_) loop_.run(end(*sinks_));
  }
  LogSinks& open(std::string_view logging) {
    FleetSnapshot snapshot;
    for (const char* id : {"g", "g2", "other"}) {
      Group& group = snapshot.groups.emplace_back();
      group.id = id;
      group.organization_id = group.id == "other" ? "o2" : "o";
      group.project_id = "p";
      group.spec.name = group.id;
      group.spec.container.logging = json::parse(logging).as_object();
    }
    fleet_.restore(std::move(snapshot), {loop_.clock.now(), loop_.clock.wall_now()});
    sinks_ = std::make_unique<LogSinks>(loop_.executor(), loop_.clock, random_, fleet_, settings_);
    return *sinks_;
  }
  static LogTable::Batches lines(std::vector<std::string> texts, std::string group = "g") {
    LogTable::Batches batches(1);
    const std::string organization = group == "other" ? "o2" : "o";
    batches[0] = {"m", {organization, "shop", "web"}, {.group_id = group, .instance_id = "i"}};
    for (std::string& text : texts)
      batches[0].batch.lines.push_back({1, "stdout", std::move(text)});
    return batches;
  }
  template <class T>
  static Task<Result<>> end(T& what) {
    co_await what.stop();
    co_return Result<>();
  }
  Task<Result<>> until(std::function<bool()> done) {
    while (!done()) CO_TRY_DO(co_await loop_.clock.sleep_for(10ms));
    co_return Result<>();
  }

  RealLoop loop_;
  SeededRandom random_{1};
  Fleet fleet_{FleetSettings{}, random_};
  LogSinkSettings settings_{.linger = 1ms, .back_off_min = 10ms, .back_off_max = 20ms};
  std::unique_ptr<LogSinks> sinks_;
};

// Answers as it is told.
class HttpTarget {
 public:
  HttpTarget(RealLoop& loop)
      : server_(
            loop.executor(), loop.clock, "sink", {},
            [this](HttpRequest request) { return answer(std::move(request)); },
            [](const Error&) { return HttpResponse{}; }) {
    Listener listener = Listener::bind(loop.executor(), {.host = "127.0.0.1"}).value();
    port = listener.endpoint().port;
    server_.serve(std::move(listener));
  }
  Task<void> stop() { return server_.stop(); }

  uint16_t port = 0;
  int status = 200;
  int calls = 0;
  std::vector<std::string> taken;

 private:
  Task<HttpResponse> answer(HttpRequest request) {
    ++calls;
    const json::value body = json::parse(request.body);
    for (const json::value& record : body.as_array()) {
      if (status == 200) taken.emplace_back(record.at("log").as_string());
    }
    HttpResponse response;
    response.status = status;
    co_return response;
  }
  HttpServer server_;
};

std::string http_sink(uint16_t port) {
  return fmt::format(
      R"({{"http":{{"host":"127.0.0.1","port":{},"format":"json","compression":"none","headers":[]}}}})",
      port);
}

TEST_F(LogSinksTest, WhatASinkRefusesIsTriedAgainInOrder) {
  HttpTarget target(loop_);
  LogSinks& sinks = open(http_sink(target.port));
  target.status = 503;
  sinks.take(lines({"1", "2"}));
  loop_.run(until([&] { return target.calls >= 3; }));
  sinks.take(lines({"3"}));
  target.status = 200;
  loop_.run(until([&] { return target.taken.size() >= 3; }));
  EXPECT_THAT(target.taken, ElementsAre("1", "2", "3"));
  loop_.run(until([&] { return sinks.waiting_bytes() == 0; }));
  EXPECT_EQ(sinks.dropped(), 0);
  loop_.run(end(target));
}

TEST_F(LogSinksTest, ASinkThatIsAwayLosesItsOldestLinesAndIsToldHowMany) {
  settings_.sink_lines_max = 10;
  HttpTarget target(loop_);
  LogSinks& sinks = open(http_sink(target.port));
  target.status = 500;
  for (int i = 0; i < 100; ++i) sinks.take(lines({std::to_string(i)}));
  loop_.run(until([&] { return target.calls >= 2; }));
  target.status = 200;
  loop_.run(until([&] { return !target.taken.empty() && target.taken.back() == "99"; }));
  EXPECT_EQ(sinks.dropped(), 90);
  EXPECT_THAT(target.taken.front(), StartsWith("mesclun: 90 lines were not delivered"));
  EXPECT_EQ(target.taken.size(), 11u);
  loop_.run(end(target));
}

TEST_F(LogSinksTest, OneOrganizationLeavesRoomForTheOthers) {
  settings_.bytes_max = 4'000;
  settings_.sinks_max = 4;
  HttpTarget target(loop_);
  LogSinks& sinks = open(http_sink(target.port));
  target.status = 503;
  for (int i = 0; i < 100; ++i) sinks.take(lines({std::string(200, 'x')}));
  EXPECT_LE(sinks.waiting_bytes(), 1'000u);
  const int64_t dropped = sinks.dropped();
  sinks.take(lines({"second sink"}, "g2"));
  EXPECT_EQ(sinks.dropped(), dropped + 1) << "a quarter of four sinks is one";
  sinks.take(lines({"of somebody else"}, "other"));
  EXPECT_EQ(sinks.dropped(), dropped + 1);
  loop_.run(end(target));
}

// Nothing of a cloud's own machine and network is opened to its tenants.
TEST_F(LogSinksTest, PrivateAddressesAreNotConnectedTo) {
  settings_.private_addresses = false;
  HttpTarget target(loop_);
  LogSinks& sinks = open(http_sink(target.port));
  sinks.take(lines({"1"}));
  loop_.run(loop_.clock.sleep_for(200ms));
  EXPECT_EQ(target.calls, 0);
  loop_.run(end(target));
}

Task<Result<>> take_lines(RealLoop& loop, Listener& listener, const TestCertificate& certificate,
                          std::string& out) {
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener.accept(loop.clock));
    Result<ConnPtr> tls = co_await tls_server(std::move(conn), certificate.certificate_pem,
                                              certificate.key_pem, loop.clock, 5s);
    if (!tls) continue;
    std::string buffer(4096, '\0');
    while (true) {
      const Result<size_t> n = co_await (*tls)->read_some(asio::buffer(buffer));
      if (!n || *n == 0) break;
      out.append(buffer, 0, *n);
    }
  }
}

TEST_F(LogSinksTest, TcpIsLinesOverTlsWithACertificateThatIsChecked) {
  const TestFolder folder;
  const TestCertificate trusted = make_test_certificate("DNS:localhost");
  ASSERT_TRUE(
      replace_file(folder.path("ca.pem"), trusted.certificate_pem, Durability::ProcessCrash));
  ::setenv("SSL_CERT_FILE", folder.path("ca.pem").c_str(), 1);
  Listener listener = Listener::bind(loop_.executor(), {.host = "127.0.0.1"}).value();
  const uint16_t port = listener.endpoint().port;
  std::string taken;
  Scope scope(loop_.executor(), "target");
  scope.spawn(take_lines(loop_, listener, trusted, taken));
  LogSinks& sinks = open(fmt::format(R"({{"tcp":{{"host":"localhost","port":{}}}}})", port));
  sinks.take(lines({"1", "2"}));
  loop_.run(until([&] { return std::ranges::count(taken, '\n') == 2; }));
  EXPECT_EQ(json::parse(taken.substr(0, taken.find('\n'))).at("log"), "1");
  sinks.take(lines({"3"}));
  loop_.run(until([&] { return std::ranges::count(taken, '\n') == 3; }));
  // Another authority.
  const TestCertificate other = make_test_certificate("DNS:localhost");
  ASSERT_TRUE(replace_file(folder.path("ca.pem"), other.certificate_pem, Durability::ProcessCrash));
  loop_.run(end(*sinks_));
  sinks_.reset();
  LogSinks& again = open(fmt::format(R"({{"tcp":{{"host":"localhost","port":{}}}}})", port));
  again.take(lines({"4"}));
  loop_.run(loop_.clock.sleep_for(200ms));
  EXPECT_EQ(std::ranges::count(taken, '\n'), 3);
  ::unsetenv("SSL_CERT_FILE");
  loop_.run(end(scope));
}

}  // namespace
}  // namespace mesclun::cloud
