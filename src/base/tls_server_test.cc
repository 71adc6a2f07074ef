#include "base/tls_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/race.h"
#include "base/test_certificate.h"
#include "base/test_loop.h"
#include "base/tls_conn.h"

namespace mesclun {
namespace {

TlsIdentity identity(const std::string& names) {
  const TestCertificate made = make_test_certificate(names);
  return {made.certificate_pem, made.key_pem};
}

// Both ends over memory; the client trusts every certificate of the server.
class TlsServerTest : public testing::Test {
 public:
  TlsServerTest() {
    identities = {identity("DNS:a.example, DNS:own.zone.example"), identity("DNS:*.zone.example"),
                  identity("DNS:B.example")};
    std::ofstream out(file);
    for (const TlsIdentity& one : identities) out << one.certificate_pem;
    ::setenv("SSL_CERT_FILE", file.c_str(), 1);
    server = *TlsServer::make(identities);
  }
  ~TlsServerTest() override {
    ::unsetenv("SSL_CERT_FILE");
    std::filesystem::remove(file);
  }

  Task<void> accept(ConnPtr conn) {
    auto accepted = co_await accept_tls(std::move(conn), server, loop.clock, 10s);
    if (accepted) at_server = std::move(accepted->conn);
  }
  Task<void> connect(ConnPtr conn, std::string host, Result<>& result) {
    Result<ConnPtr> tls = co_await tls_client(std::move(conn), std::move(host), loop.clock, 10s);
    if (tls) at_client = *std::move(tls);
    if (!tls) result = tls.error();
  }
  Task<Result<>> shake_hands(std::string host, size_t capacity = 64 * 1024) {
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock, capacity);
    Result<> result;
    co_await join(accept(std::move(a)), connect(std::move(b), std::move(host), result));
    co_return result;
  }
  // Whether a client that expects `host` is served with its certificate.
  bool serves(std::string host) {
    bool served = false;
    const auto body = [](TlsServerTest& t, std::string name, bool& out) -> Task<Result<>> {
      out = (co_await t.shake_hands(std::move(name))).has_value();
      co_return Result<>();
    };
    loop.run(body(*this, std::move(host), served));
    return served;
  }

  VirtualLoop loop;
  std::string file = testing::TempDir() + fmt::format("tls_server_test_{}.pem", ::getpid());
  std::vector<TlsIdentity> identities;
  std::shared_ptr<const TlsServer> server;
  ConnPtr at_server;
  ConnPtr at_client;
};

TEST_F(TlsServerTest, TheCertificateIsChosenByName) {
  for (const char* host :
       {"a.example", "A.Example", "b.example", "x.zone.example", "own.zone.example"}) {
    EXPECT_TRUE(serves(host)) << host;
  }
}

TEST_F(TlsServerTest, AnUnknownNameGetsTheFirstCertificate) {
  for (const char* host : {"c.example", "zone.example", "x.y.zone.example"}) {
    EXPECT_FALSE(serves(host)) << host;
  }
  EXPECT_FALSE(serves("127.0.0.1")) << "an address is not named";
}

TEST_F(TlsServerTest, SaysWhichCertificateIsWrongAndHow) {
  const TlsIdentity good = identity("DNS:a");
  const auto problem = [&good](TlsIdentity bad) {
    const auto made = TlsServer::make({good, std::move(bad)});
    EXPECT_FALSE(made);
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(problem({"", good.key_pem}),
            "certificate 2: there is no certificate in PEM (BEGIN CERTIFICATE)");
  EXPECT_EQ(problem({good.certificate_pem, "-----BEGIN"}),
            "certificate 2: there is no private key in PEM without a password (BEGIN PRIVATE KEY)");
  EXPECT_EQ(problem({good.certificate_pem, identity("DNS:a").key_pem}),
            "certificate 2: the private key is not the one of the certificate");
  const std::string cut = good.certificate_pem + good.certificate_pem.substr(0, 200);
  EXPECT_TRUE(problem({cut, good.key_pem})
                  .starts_with("certificate 2: a certificate of its chain is no PEM"));
}

TEST_F(TlsServerTest, KnowsWhenItsCertificatesEnd) {
  const WallTime now = RealClock().wall_now();
  EXPECT_GT(server->expires(), now + 50min);
  EXPECT_LT(server->expires(), now + 61min);
}

Task<Result<>> drip(TlsServerTest& t, ConnPtr conn) {
  // The start of a handshake, which would be longer.
  for (const char byte : std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9)) {
    if (!co_await conn->write(std::string_view(&byte, 1))) break;
    CO_TRY_DO(co_await t.loop.clock.sleep_for(2s));
  }
  co_return Result<>();
}
TEST_F(TlsServerTest, AStrangerWhoDripsIsLeftAfterTheLimit) {
  const auto body = [](TlsServerTest& t) -> Task<Result<>> {
    auto [a, b] = memory_conn_pair(t.loop.executor(), t.loop.clock);
    Scope scope(t.loop.executor(), "stranger");
    scope.spawn(drip(t, std::move(b)));
    const TimePoint start = t.loop.clock.now();
    const auto accepted = co_await accept_tls(std::move(a), t.server, t.loop.clock, 10s);
    EXPECT_FALSE(accepted);
    EXPECT_EQ(accepted.code(), ErrorCode::DeadlineExceeded);
    EXPECT_EQ(t.loop.clock.now() - start, 10s);
    co_await scope.stop();
    co_return Result<>();
  };
  loop.run(body(*this));
}

TEST_F(TlsServerTest, GarbageIsNoHandshake) {
  const auto body = [](TlsServerTest& t) -> Task<Result<>> {
    auto [a, b] = memory_conn_pair(t.loop.executor(), t.loop.clock);
    CO_TRY_DO(co_await b->write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    const auto accepted = co_await accept_tls(std::move(a), t.server, t.loop.clock, 10s);
    EXPECT_FALSE(accepted);
    EXPECT_EQ(accepted.code(), ErrorCode::Unavailable);
    co_return Result<>();
  };
  loop.run(body(*this));
}

Task<void> receive(Conn& conn, size_t bytes, std::string& text) {
  std::vector<char> buffer(3000);
  while (text.size() < bytes) {
    const Result<size_t> n = co_await conn.read_some(asio::buffer(buffer));
    if (!n || *n == 0) co_return;
    text.append(buffer.data(), *n);
  }
}
Task<void> send_in_two(Conn& conn, std::string_view text) {
  const asio::const_buffer all = asio::buffer(text);
  const size_t taken = conn.write_now(std::span(&all, 1));
  EXPECT_LT(taken, text.size());
  EXPECT_EQ(conn.write_now(std::span(&all, 1)), 0u) << "half a record comes first";
  const asio::const_buffer rest = all + taken;
  EXPECT_TRUE(co_await conn.write(std::span(&rest, 1)));
}
TEST_F(TlsServerTest, WhatWasWrittenAtOnceInPartArrivesOnce) {
  const auto body = [](TlsServerTest& t) -> Task<Result<>> {
    CO_TRY_DO(co_await t.shake_hands("a.example", 20'000));
    std::string text;
    for (int i = 0; text.size() < 100'000; ++i) text += fmt::format("{} ", i);
    std::string got;
    co_await join(send_in_two(*t.at_server, text), receive(*t.at_client, text.size(), got));
    EXPECT_TRUE(got == text);
    co_return Result<>();
  };
  loop.run(body(*this));
}

TEST_F(TlsServerTest, ARestingStreamIsCleanUntilSomethingComes) {
  const auto body = [](TlsServerTest& t) -> Task<Result<>> {
    CO_TRY_DO(co_await t.shake_hands("a.example"));
    Conn& conn = *t.at_server;
    EXPECT_TRUE(conn.is_encrypted());
    EXPECT_TRUE(conn.is_clean());
    bool readable = false;
    EXPECT_TRUE(conn.when_readable([&readable](bool there) { readable = there; }));
    CO_TRY_DO(co_await t.loop.clock.sleep_for(1s));
    EXPECT_FALSE(readable);
    CO_TRY_DO(co_await t.at_client->write("hello"));
    CO_TRY_DO(co_await t.loop.clock.sleep_for(1s));
    EXPECT_TRUE(readable);
    EXPECT_FALSE(conn.is_clean());
    std::array<char, 2> two;
    CO_TRY_DO(co_await read_exactly(conn, asio::buffer(two)));
    EXPECT_FALSE(conn.is_clean()) << "a part of the record is left";
    EXPECT_FALSE(conn.when_readable([](bool) {}));
    std::array<char, 3> three;
    CO_TRY_DO(co_await read_exactly(conn, asio::buffer(three)));
    EXPECT_TRUE(conn.is_clean());
    t.at_client->shutdown_write();
    EXPECT_FALSE(conn.is_clean());
    co_return Result<>();
  };
  loop.run(body(*this));
}

Task<void> read_cancelled(Conn& conn, Result<size_t>& result) {
  std::array<char, 10> buffer;
  result = co_await conn.read_some(asio::buffer(buffer));
}
Task<void> cancel_soon(Conn& conn, Clock& clock) {
  std::ignore = co_await clock.sleep_for(1s);
  conn.cancel_read();
}
TEST_F(TlsServerTest, AReadThatWasCancelledLosesNothing) {
  const auto body = [](TlsServerTest& t) -> Task<Result<>> {
    CO_TRY_DO(co_await t.shake_hands("a.example"));
    Result<size_t> result(0);
    co_await join(read_cancelled(*t.at_server, result), cancel_soon(*t.at_server, t.loop.clock));
    EXPECT_FALSE(result);
    EXPECT_EQ(result.code(), ErrorCode::Cancelled);
    CO_TRY_DO(co_await t.at_client->write("hello"));
    std::array<char, 5> five;
    CO_TRY_DO(co_await read_exactly(*t.at_server, asio::buffer(five)));
    EXPECT_EQ(std::string_view(five.data(), 5), "hello");
    co_return Result<>();
  };
  loop.run(body(*this));
}

}  // namespace
}  // namespace mesclun
