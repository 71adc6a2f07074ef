// Measured transfers against servers that are slow in ways of their own.
#include "companion/transfer_meter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/race.h"
#include "base/test_certificate.h"
#include "base/test_loop.h"
#include "base/tls_server.h"

namespace mesclun::companion {
namespace {

using testing::HasSubstr;

// A server of one connection, which `serve` talks to.
using Serve = Task<Result<>> (*)(ConnPtr, Clock&);

Task<void> accept_one(Listener& listener, Clock& clock, Serve serve) {
  Result<ConnPtr> conn = co_await listener.accept(clock);
  if (conn) std::ignore = co_await serve(*std::move(conn), clock);
}
Task<void> measure(HttpUrl url, uint64_t bytes, bool is_upload, Clock& clock, Duration limit,
                   Result<TransferRate>& out) {
  HttpCall call{.method = is_upload ? "PUT" : "GET", .target = url.target};
  out = is_upload ? co_await measure_upload(std::move(url), std::move(call), bytes, clock, limit)
                  : co_await measure_download(std::move(url), std::move(call), bytes, clock, limit);
}

// Takes little into its receive buffer, as a slow link would: what waits, waits with the sender.
Result<Listener> listen_narrowly(const asio::any_io_executor& executor, Endpoint& endpoint) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int bytes = 32 * 1024;
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(descriptor, generic, size) != 0 || ::listen(descriptor, 5) != 0 ||
      ::getsockname(descriptor, generic, &size) != 0) {
    ::close(descriptor);
    return Error::internal("no listener");
  }
  endpoint = Endpoint{.host = "127.0.0.1", .port = ntohs(address.sin_port)};
  return Listener::adopt(executor, descriptor);
}

Result<TransferRate> transfer(Serve serve, bool is_upload, uint64_t bytes, Duration limit,
                              bool tls = false) {
  RealLoop loop;
  Result<TransferRate> rate;
  const auto body = [](RealLoop& l, Serve s, bool up, uint64_t n, Duration max, bool secure,
                       Result<TransferRate>& out) -> Task<Result<>> {
    Endpoint endpoint;
    CO_TRY(Listener listener, listen_narrowly(l.executor(), endpoint));
    CO_TRY(HttpUrl url, parse_http_url(fmt::format("{}://{}/x", secure ? "https" : "http",
                                                   endpoint.to_string())));
    // The end of the measurement ends the server too.
    co_await race(measure(std::move(url), n, up, l.clock, max, out),
                  join(accept_one(listener, l.clock, s), detail::sleep_quietly(l.clock, 20s)));
    co_return Result<>();
  };
  loop.run(body(loop, serve, is_upload, bytes, limit, tls, rate));
  return rate;
}

Task<Result<>> read_request_head(Conn& conn) {
  std::string text;
  char c = 0;
  while (!text.ends_with("\r\n\r\n")) {
    CO_TRY_DO(co_await read_exactly(conn, asio::buffer(&c, 1)));
    text += c;
  }
  co_return Result<>();
}

// 20,000 bytes every 20 ms: 8 Mbps.
Task<Result<>> trickle(ConnPtr conn, Clock& clock) {
  CO_TRY_DO(co_await read_request_head(*conn));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"));
  const std::string piece(20'000, 'x');
  while (true) {
    CO_TRY_DO(co_await conn->write(piece));
    CO_TRY_DO(co_await clock.sleep_for(20ms));
  }
}

TEST(TransferMeter, ADownloadStopsAfterItsBytes) {
  const Result<TransferRate> rate = transfer(trickle, false, 200'000, 10s);
  ASSERT_TRUE(rate) << to_string(rate.error());
  EXPECT_TRUE(rate->complete);
  EXPECT_GE(rate->bytes, 200'000u);
  EXPECT_LT(rate->bytes, 400'000u);
  EXPECT_GT(rate->mbps, 0.2);
  EXPECT_LT(rate->mbps, 12);
}

TEST(TransferMeter, ACutDownloadCountsWithTheRateUntilThen) {
  const Result<TransferRate> rate = transfer(trickle, false, 50'000'000, 500ms);
  ASSERT_TRUE(rate) << to_string(rate.error());
  EXPECT_FALSE(rate->complete);
  EXPECT_GT(rate->mbps, 0.2);
  EXPECT_LT(rate->mbps, 12);
}

// Reads 50,000 bytes every 50 ms: 8 Mbps, behind buffers that take megabytes at once.
Task<Result<>> sip(ConnPtr conn, Clock& clock) {
  std::vector<char> buffer(50'000);
  while (true) {
    CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(buffer)));
    CO_TRY_DO(co_await clock.sleep_for(50ms));
  }
}

TEST(TransferMeter, ACutUploadIsNotFlatteredByBuffers) {
  const Result<TransferRate> rate = transfer(sip, true, 500'000'000, 3s);
  ASSERT_TRUE(rate) << to_string(rate.error());
  EXPECT_FALSE(rate->complete);
  const double flattered = static_cast<double>(rate->bytes) * 8 / 1e6 / to_seconds(rate->time);
  EXPECT_LT(rate->mbps, flattered) << "8 is the truth; " << flattered;
  EXPECT_GT(rate->mbps, 0.5);
}

Task<Result<>> refuse(ConnPtr conn, Clock& clock) {
  CO_TRY_DO(co_await read_request_head(*conn));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"));
  co_return co_await clock.sleep_for(10s);
}

TEST(TransferMeter, AnEarlyRefusalEndsAnUploadAtOnce) {
  const Result<TransferRate> rate = transfer(refuse, true, 500'000'000, 8s);
  ASSERT_FALSE(rate);
  EXPECT_EQ(rate.error().message, "the server answered 413");
}

Task<Result<>> redirect(ConnPtr conn, Clock&) {
  CO_TRY_DO(co_await read_request_head(*conn));
  co_return co_await conn->write(
      "HTTP/1.1 302 Found\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n");
}
Task<Result<>> hang_up(ConnPtr conn, Clock&) {
  co_return co_await read_request_head(*conn);
}
Task<Result<>> cut_short(ConnPtr conn, Clock&) {
  CO_TRY_DO(co_await read_request_head(*conn));
  co_return co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxx");
}
Task<Result<>> keep_silent(ConnPtr, Clock& clock) {
  co_return co_await clock.sleep_for(10s);
}

TEST(TransferMeter, WhatSaysNothingAboutSpeedIsAnError) {
  Result<TransferRate> rate = transfer(redirect, false, 1000, 5s);
  ASSERT_FALSE(rate);
  EXPECT_THAT(rate.error().message, HasSubstr("points to 'http://b/'"));
  EXPECT_EQ(transfer(hang_up, false, 1000, 5s).code(), ErrorCode::Unavailable);
  EXPECT_EQ(transfer(cut_short, false, 100'000, 5s).code(), ErrorCode::Unavailable);
  rate = transfer(keep_silent, false, 1000, 200ms);
  ASSERT_FALSE(rate);
  EXPECT_EQ(rate.error().message, "no byte within 200 ms");
}

const TestCertificate& certificate() {
  static const TestCertificate made = make_test_certificate("IP:127.0.0.1");
  return made;
}
Task<Result<>> serve_tls(ConnPtr conn, Clock& clock) {
  CO_TRY(ConnPtr tls, co_await tls_server(std::move(conn), certificate().certificate_pem,
                                          certificate().key_pem, clock, 5s));
  co_return co_await trickle(std::move(tls), clock);
}

TEST(TransferMeter, WorksOverTls) {
  const std::string file =
      testing::TempDir() + fmt::format("transfer_meter_test_{}.pem", ::getpid());
  std::ofstream(file) << certificate().certificate_pem;
  ::setenv("SSL_CERT_FILE", file.c_str(), 1);
  Result<TransferRate> rate = transfer(serve_tls, false, 100'000, 10s, true);
  EXPECT_TRUE(rate) << to_string(rate.error());
  std::ofstream(file) << make_test_certificate("IP:127.0.0.1").certificate_pem;
  rate = transfer(serve_tls, false, 100'000, 10s, true);
  EXPECT_EQ(rate.code(), ErrorCode::PermissionDenied);
  ::unsetenv("SSL_CERT_FILE");
  std::filesystem::remove(file);
}

TEST(HttpUrl, TakesWhatPeopleWrite) {
  const auto url = [](std::string_view text) {
    const Result<HttpUrl> parsed = parse_http_url(text);
    if (!parsed) return std::string("refused");
    return fmt::format("{} {} {} {}", parsed->tls ? "tls" : "plain", parsed->endpoint.to_string(),
                       parsed->authority, parsed->target);
  };
  EXPECT_EQ(url("http://a.example"), "plain a.example:80 a.example /");
  EXPECT_EQ(url("HTTPS://a.example:8443/p?q=1#f"), "tls a.example:8443 a.example:8443 /p?q=1");
  EXPECT_EQ(url("https://[::1]?x"), "tls [::1]:443 [::1] /?x");
  EXPECT_EQ(url("http://169.254.169.254:80"), "plain 169.254.169.254:80 169.254.169.254 /");
  for (const char* text : {"", "a.example", "ftp://a", "http://", "http://u:p@a/", "http://a:99999",
                           "http://a/b c", "http://unix:/x", "http://a:x/"}) {
    EXPECT_EQ(url(text), "refused") << text;
  }
}

}  // namespace
}  // namespace mesclun::companion
