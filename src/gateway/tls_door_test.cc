// Clients over TLS, strangers at its door, and those who come without.
#include "gateway/tls_door.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/test_certificate.h"
#include "base/tls_conn.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

GatewaySettings with_tls() {
  GatewaySettings settings;
  settings.proxy.https_port = 8443;
  settings.proxy.health_path = "/healthz";
  settings.tls.handshakes_max = 3;
  return settings;
}

class TlsDoorTest : public testing::Test {
 public:
  TlsDoorTest() {
    const TestCertificate made = make_test_certificate("DNS:g.example");
    std::ofstream(file) << made.certificate_pem;
    ::setenv("SSL_CERT_FILE", file.c_str(), 1);
    server = *TlsServer::make({{made.certificate_pem, made.key_pem}});
  }
  ~TlsDoorTest() override {
    ::unsetenv("SSL_CERT_FILE");
    std::filesystem::remove(file);
  }

  // A client's end of a connection, before its handshake.
  ConnPtr knock() {
    auto [ours, theirs] = memory_conn_pair(world.loop.executor(), world.clock);
    world.gateway.door().greet(std::move(theirs), server);
    return std::move(ours);
  }
  Task<Result<ConnPtr>> connect() {
    co_return co_await tls_client(knock(), "g.example", world.clock, 5s);
  }

  std::string file = testing::TempDir() + fmt::format("tls_door_test_{}.pem", ::getpid());
  std::shared_ptr<const TlsServer> server;
  EchoWorld world{make_route(1), with_tls()};
};

Task<Result<>> many_requests(TlsDoorTest& t) {
  CO_TRY(const ConnPtr conn, co_await t.connect());
  bool keep = false;
  for (int i = 0; i < 10; ++i) {
    HttpCall request{.method = "POST", .body = std::string(static_cast<size_t>(i) * 9000, 'b')};
    CO_TRY(const HttpReply reply,
           co_await http_call(*conn, std::move(request), "g.example", 1 << 20, keep));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(keep);
    EXPECT_NE(reply.body.find("X-Forwarded-Proto: https\n"), std::string::npos);
    EXPECT_NE(reply.body.find("proto=https\n"), std::string::npos);
    EXPECT_TRUE(reply.body.ends_with(std::string(static_cast<size_t>(i) * 9000, 'b')));
    // Long enough to rest without a task.
    CO_TRY_DO(co_await t.world.clock.sleep_for(1s));
    EXPECT_EQ(t.world.gateway.proxy().resting(), 1u);
  }
  co_return Result<>();
}
TEST_F(TlsDoorTest, OneConnectionCarriesManyRequests) {
  world.run(many_requests(*this));
}

Task<Result<>> with_strangers(TlsDoorTest& t) {
  std::vector<ConnPtr> strangers;
  for (int i = 0; i < 20; ++i) strangers.push_back(t.knock());
  CO_TRY_DO(co_await t.world.clock.sleep_for(1s));
  EXPECT_EQ(t.world.gateway.door().handshakes(), 3u);
  CO_TRY_DO(co_await many_requests(t));
  for (const ConnPtr& stranger : strangers) EXPECT_FALSE(stranger->is_clean());
  EXPECT_EQ(t.world.gateway.door().handshakes(), 0u);
  EXPECT_EQ(t.world.gateway.door().failures(), 20u);
  co_return Result<>();
}
TEST_F(TlsDoorTest, StrangersWhoSayNothingKeepNobodyOut) {
  world.run(with_strangers(*this));
}

Task<Result<>> expect_answer(TestWorld& world, std::string request, std::string answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(request));
  CO_TRY(const std::string got, co_await read_to_end(*conn));
  EXPECT_EQ(got, answer);
  co_return Result<>();
}
TEST_F(TlsDoorTest, WhoComesWithoutIsSentToHttps) {
  const auto answer = [](std::string_view url) {
    return fmt::format(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n"
        "X-Gateway-Error: https_only\r\nConnection: close\r\n\r\n",
        url);
  };
  const std::string end = "Connection: close\r\n\r\n";
  world.run(expect_answer(world, "GET /a?b=c HTTP/1.1\r\nHost: g.example:80\r\n" + end,
                          answer("https://g.example:8443/a?b=c")));
  world.run(expect_answer(world, "GET / HTTP/1.1\r\nHost: [::1]\r\n" + end,
                          answer("https://[::1]:8443/")));
  world.run(expect_answer(world,
                          "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 5\r\n\r\nhello",
                          answer("https://g.example:8443/")));
  EXPECT_EQ(world.connects, 0u) << "nothing of it reaches an instance";
}

Task<Result<>> health(TestWorld& world, std::string& status) {
  CO_TRY(status, co_await get_status(world, "any.example", "/healthz"));
  co_return Result<>();
}
TEST_F(TlsDoorTest, HealthIsToldWithoutTls) {
  std::string status;
  world.run(health(world, status));
  EXPECT_EQ(status, "200 ");
}

}  // namespace
}  // namespace mesclun::gateway
