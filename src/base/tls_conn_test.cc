#include "base/tls_conn.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/race.h"
#include "base/socket_conn.h"
#include "base/test_certificate.h"
#include "base/test_loop.h"
#include "base/tls_server.h"

namespace mesclun {
namespace {

// Both ends over memory; the client trusts the certificates of one file.
class TlsTest : public testing::Test {
 public:
  TlsTest() {
    trust(own.certificate_pem);
    ::setenv("SSL_CERT_FILE", file.c_str(), 1);
  }
  ~TlsTest() override {
    ::unsetenv("SSL_CERT_FILE");
    std::filesystem::remove(file);
  }

  void trust(const std::string& pem) const { std::ofstream(file) << pem; }

  Task<void> serve(ConnPtr conn, ConnPtr& out, Result<>& result) {
    Result<ConnPtr> tls =
        co_await tls_server(std::move(conn), own.certificate_pem, own.key_pem, loop.clock, 10s);
    if (tls) {
      out = *std::move(tls);
    } else {
      result = tls.error();
    }
  }
  Task<void> connect(ConnPtr conn, std::string host, ConnPtr& out, Result<>& result) {
    Result<ConnPtr> tls = co_await tls_client(std::move(conn), std::move(host), loop.clock, 10s);
    if (tls) {
      out = *std::move(tls);
    } else {
      result = tls.error();
    }
  }
  // Fills client and server; the result is the client's.
  Task<Result<>> shake_hands(std::string host, size_t capacity = 64 * 1024) {
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock, capacity);
    Result<> result;
    co_await join(serve(std::move(a), server, server_result),
                  connect(std::move(b), std::move(host), client, result));
    co_return result;
  }

  // What a client that expects `host` gets.
  Result<> outcome(std::string host) {
    Result<> result;
    loop.run(keep(shake_hands(std::move(host)), result));
    return result;
  }
  static Task<Result<>> keep(Task<Result<>> task, Result<>& out) {
    out = co_await std::move(task);
    co_return Result<>();
  }

  VirtualLoop loop;
  TestCertificate own = make_test_certificate("DNS:storage.example.com, IP:127.0.0.1");
  std::string file = testing::TempDir() + fmt::format("tls_test_{}.pem", ::getpid());
  ConnPtr server;
  ConnPtr client;
  Result<> server_result;
};

TEST_F(TlsTest, AKnownAuthorityAndTheRightHostAreAccepted) {
  for (const char* host : {"storage.example.com", "storage.example.com.", "127.0.0.1"}) {
    const Result<> result = outcome(host);
    EXPECT_TRUE(result) << host << ": " << to_string(result.error());
  }
}

TEST_F(TlsTest, AnotherHostIsRefused) {
  for (const char* host : {"other.example.com", "example.com", "127.0.0.2"}) {
    const Result<> result = outcome(host);
    EXPECT_FALSE(result) << host;
    if (result) continue;
    EXPECT_EQ(result.code(), ErrorCode::PermissionDenied);
    EXPECT_NE(result.error().message.find("mismatch"), std::string::npos) << result.error().message;
    EXPECT_FALSE(server_result) << "the server hears of it";
  }
}

TEST_F(TlsTest, AnUnknownAuthorityIsRefused) {
  trust(make_test_certificate("DNS:storage.example.com").certificate_pem);
  const Result<> result = outcome("storage.example.com");
  EXPECT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::PermissionDenied);
}

TEST_F(TlsTest, WithoutCertificatesTheErrorSaysWhatToDo) {
  std::filesystem::remove(file);
  const Result<> result = outcome("storage.example.com");
  EXPECT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::FailedPrecondition);
  EXPECT_NE(result.error().message.find("$SSL_CERT_FILE"), std::string::npos);
}

TEST_F(TlsTest, NoHostNameIsNoHost) {
  EXPECT_EQ(outcome("").code(), ErrorCode::InvalidArgument);
}

Task<Result<>> hang(VirtualLoop& loop) {
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
  const Result<ConnPtr> tls = co_await tls_client(std::move(b), "localhost", loop.clock, 5s);
  EXPECT_FALSE(tls);
  EXPECT_EQ(tls.code(), ErrorCode::DeadlineExceeded);
  co_return Result<>();
}
TEST_F(TlsTest, ASilentPeerIsLeftAfterTheLimit) {
  loop.run(hang(loop));
}

Task<Result<>> talk_to_text(VirtualLoop& loop) {
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
  CO_TRY_DO(co_await a->write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const Result<ConnPtr> tls = co_await tls_client(std::move(b), "localhost", loop.clock, 5s);
  EXPECT_FALSE(tls);
  EXPECT_EQ(tls.code(), ErrorCode::Unavailable);
  co_return Result<>();
}
TEST_F(TlsTest, APeerWithoutTlsIsAnError) {
  loop.run(talk_to_text(loop));
}

Task<void> send(Conn& conn, std::string text, Result<>& result) {
  result = co_await conn.write(text);
}
// Until the end, or `bytes`.
Task<void> receive(Conn& conn, size_t bytes, std::string& text, Result<>& result) {
  std::vector<char> buffer(5000);
  while (text.size() < bytes) {
    const Result<size_t> n = co_await conn.read_some(asio::buffer(buffer));
    if (!n) result = n.error();
    if (!n || *n == 0) co_return;
    text.append(buffer.data(), *n);
  }
}

// A connection that holds little, so that all four streams wait for each other all the time.
TEST_F(TlsTest, BothDirectionsAtOnceArriveWhole) {
  const auto body = [](TlsTest& t, auto handshake) -> Task<Result<>> {
    CO_TRY_DO(co_await std::move(handshake));
    const std::string there(1'000'003, 'a');
    const std::string back(700'001, 'b');
    std::string got_there;
    std::string got_back;
    Result<> results[4];
    co_await join(join(send(*t.client, there, results[0]),
                       receive(*t.client, back.size(), got_back, results[1])),
                  join(send(*t.server, back, results[2]),
                       receive(*t.server, there.size(), got_there, results[3])));
    for (const Result<>& result : results) {
      EXPECT_TRUE(result) << to_string(result.error());
    }
    EXPECT_EQ(got_there, there);
    EXPECT_EQ(got_back, back);
    co_return Result<>();
  };
  loop.run(body(*this, shake_hands("127.0.0.1", 3000)));
}

TEST_F(TlsTest, AStreamThatIsCutIsNoOrderlyEnd) {
  const auto body = [](TlsTest& t, auto handshake) -> Task<Result<>> {
    CO_TRY_DO(co_await std::move(handshake));
    CO_TRY_DO(co_await t.server->write("half"));
    std::string text;
    Result<> result;
    std::array<char, 4> four;
    CO_TRY_DO(co_await read_exactly(*t.client, asio::buffer(four)));
    t.server->abort();
    co_await receive(*t.client, 100, text, result);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.code(), ErrorCode::Unavailable);
    co_return Result<>();
  };
  loop.run(body(*this, shake_hands("127.0.0.1")));
}

TEST_F(TlsTest, AHalfClosedStreamGoesOnTheOtherWay) {
  const auto body = [](TlsTest& t, auto handshake) -> Task<Result<>> {
    CO_TRY_DO(co_await std::move(handshake));
    CO_TRY_DO(co_await t.client->write("question"));
    t.client->shutdown_write();
    CO_TRY_DO(co_await t.server->write("answer"));
    std::string answer;
    std::string question;
    Result<> results[2];
    co_await join(receive(*t.client, 6, answer, results[0]),
                  receive(*t.server, 100, question, results[1]));
    EXPECT_EQ(question, "question");
    EXPECT_EQ(answer, "answer");
    for (const Result<>& result : results) EXPECT_TRUE(result) << to_string(result.error());
    co_return Result<>();
  };
  loop.run(body(*this, shake_hands("127.0.0.1")));
}

Task<void> close_after(ConnPtr conn, Clock& clock) {
  const Result<ConnPtr> tls = co_await tls_client(std::move(conn), "127.0.0.1", clock, 10s);
  EXPECT_TRUE(tls) << to_string(tls.error());
  if (!tls) co_return;
  EXPECT_TRUE(co_await (*tls)->write("bye"));
  (*tls)->close();
  EXPECT_FALSE(co_await (*tls)->write("more"));
}
Task<void> read_to_end(TlsTest& t, ConnPtr conn, Clock& clock, std::string& text) {
  const Result<ConnPtr> tls =
      co_await tls_server(std::move(conn), t.own.certificate_pem, t.own.key_pem, clock, 10s);
  EXPECT_TRUE(tls) << to_string(tls.error());
  if (!tls) co_return;
  Result<> result;
  co_await receive(**tls, 100, text, result);
  EXPECT_TRUE(result) << to_string(result.error());
}
TEST_F(TlsTest, CloseIsAnOrderlyEndOnASocket) {
  RealLoop real;
  const auto body = [](TlsTest& t, RealLoop& l) -> Task<Result<>> {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) co_return Error::internal("socketpair");
    CO_TRY(ConnPtr a, adopt_descriptor(l.executor(), ends[0]));
    CO_TRY(ConnPtr b, adopt_descriptor(l.executor(), ends[1]));
    std::string text;
    co_await join(close_after(std::move(a), l.clock), read_to_end(t, std::move(b), l.clock, text));
    EXPECT_EQ(text, "bye");
    co_return Result<>();
  };
  real.run(body(*this, real));
}

}  // namespace
}  // namespace mesclun
