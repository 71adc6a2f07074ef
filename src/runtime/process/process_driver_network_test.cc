// What reaches a run and what a run reaches.
#include "http/client.h"
#include "http/server.h"
#include "runtime/process/process_driver_test_kit.h"

namespace mesclun::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;

DRIVER_TEST(ProcessDriverTest, MetadataServiceAnswersAtItsAddress) {
  RunSpec made = t.spec({"python3", "-c",
                         "import os, urllib.request\n"
                         "url = os.environ.get('SALAD_METADATA_URI', 'http://169.254.169.254:80')\n"
                         "print(urllib.request.urlopen(url + '/v1/status').read().decode())"});
  const std::string id = made.instance_id;
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY(std::optional<Listener> listener, driver.metadata_listener(id));
  EXPECT_TRUE(listener);
  HttpServer server(
      t.loop.executor(), t.loop.clock, "metadata", {},
      [](HttpRequest request) -> Task<HttpResponse> {
        co_return HttpResponse{.body = "answer to " + std::string(request.path())};
      },
      [](const Error&) { return HttpResponse{.status = 500}; });
  server.serve(*std::move(listener));
  CO_TRY_DO(co_await driver.start(id));
  const Result<std::string> line = co_await t.first_line(driver, id);
  co_await server.stop();
  EXPECT_EQ(line.value_or("none"), "answer to /v1/status");
  co_return Result<>();
}

DRIVER_TEST(BareProcessDriverTest, MetadataServiceHasAPortThatTheProgramKnows) {
  const RunSpec made = t.shell("echo $SALAD_METADATA_URI");
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY(const std::optional<Listener> listener, driver.metadata_listener(made.instance_id));
  CO_TRY_DO(co_await driver.start(made.instance_id));
  CO_TRY(const std::string line, co_await t.first_line(driver, made.instance_id));
  EXPECT_THAT(line, testing::StartsWith("http://127.0.0.1:"));
  CO_TRY(const Endpoint endpoint, parse_endpoint(line.substr(7)));
  EXPECT_TRUE(co_await dial(endpoint, t.loop.clock, kSoon));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, RunHasItsOwnNetworkAndName) {
  if (!driver.facts().own_network) {
    fmt::print("  skipped: {}\n", driver.facts().warnings.front());
    co_return Result<>();
  }
  CO_TRY(const auto lines,
         co_await t.output(driver, t.shell("uname -n; ls /sys/class/net; echo $$; "
                                           "grep -c . /proc/net/if_inet6")));
  EXPECT_EQ(lines[0], "run-1");
  EXPECT_THAT(lines, Contains("lo"));
  co_return Result<>();
}

WALLS_TEST(ConnectReachesServersOfEitherFamily) {
  for (const char* family : {"4", "6"}) {
    CO_TRY(const std::string id,
           co_await t.launch(driver, t.spec({"python3", "-c", kPythonServer, family})));
    CO_TRY(const std::string line, co_await t.first_line(driver, id));
    const auto port = static_cast<uint16_t>(std::stoi(line));
    for (int i = 0; i < 20; ++i) {
      CO_TRY(ConnPtr conn, co_await driver.connect(id, port, i % 2 == 0, kSoon));
      if (i > 2) continue;
      bool keep_alive = false;
      HttpCall call{.target = "/"};
      CO_TRY(const HttpReply reply,
             co_await http_call(*conn, std::move(call), "localhost", 1 << 20, keep_alive));
      EXPECT_EQ(reply.status, 200);
    }
  }
  co_return Result<>();
}

// A service of the machine, on its loopback.
class ServiceTest : public ProcessDriverTest {
 public:
  ServiceTest() {
    Result<Listener> listener = Listener::bind(loop.executor(), {.host = "127.0.0.1"});
    EXPECT_TRUE(listener);
    settings.services.push_back(listener->endpoint());
    server.serve(*std::move(listener));
  }
  static Task<HttpResponse> answer(HttpRequest request) {
    co_return HttpResponse{.body = "service got " + request.body};
  }
  static HttpResponse refuse(const Error&) { return HttpResponse{.status = 500}; }

  HttpServer server{loop.executor(), loop.clock, "service", {}, answer, refuse};
};

Task<Result<>> call_service(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<ServiceTest&>(test);
  const std::string url = "http://" + t.settings.services[0].to_string();
  const auto lines =
      co_await t.output(driver, t.spec({"python3", "-c",
                                        "import sys, urllib.request\n"
                                        "for i in range(3):\n"
                                        "  r = urllib.request.urlopen(sys.argv[1], b'x' * 100000)\n"
                                        "  print(len(r.read()))\n",
                                        url}));
  co_await t.server.stop();
  CO_TRY(const auto texts, lines);
  EXPECT_THAT(texts, ElementsAre("100012", "100012", "100012"));
  co_return Result<>();
}

TEST_F(ServiceTest, ServicesOfTheMachineHaveTheSameAddressInside) {
  with_driver(call_service);
}

Task<Result<>> listen_at_its_port(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<ServiceTest&>(test);
  const uint16_t port = t.settings.services[0].port;
  RunSpec application = t.spec({"python3", "-c",
                                "import socket, sys\n"
                                "socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
                                "print('mine')\n",
                                std::to_string(port)});
  application.port = port;
  const auto lines = co_await t.output(driver, std::move(application));
  co_await t.server.stop();
  CO_TRY(const auto texts, lines);
  EXPECT_THAT(texts, ElementsAre("mine"));
  co_return Result<>();
}

TEST_F(ServiceTest, ThePortOfTheApplicationIsItsOwn) {
  with_driver(listen_at_its_port);
}

}  // namespace
}  // namespace mesclun::runtime
