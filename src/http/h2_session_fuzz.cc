// Frames of a client, cut into pieces by the input's first byte; every request is answered.
#include "base/scope.h"
#include "base/virtual_clock.h"
#include "http/h2_preface.h"
#include "http/h2_session.h"

using namespace mesclun;

namespace {

Task<Result<>> answer(ConnPtr conn) {
  ConnInput input(*conn);
  HttpReader reader = HttpReader::request(input, 2048);
  CO_TRY(const bool whole, co_await reader.read_head());
  if (!whole) co_return Result<>();
  std::string body;
  CO_TRY_DO(co_await reader.read_whole_body(body, 1 << 20));
  co_return co_await conn->write(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nok\r\n0\r\nx: y\r\n\r\n");
}

Task<Result<>> quietly(Task<Result<>> task) {
  std::ignore = co_await std::move(task);
  co_return Result<>();
}

Task<Result<>> feed(ConnPtr conn, std::string_view text, size_t step) {
  for (size_t at = 0; at < text.size(); at += step) {
    if (!co_await conn->write(text.substr(at, step))) break;
  }
  conn->shutdown_write();
  char dropped[4096];
  while (true) {
    const Result<size_t> n = co_await conn->read_some(asio::buffer(dropped));
    if (!n || *n == 0) co_return Result<>();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string text =
      std::string(kH2Preface) + std::string(reinterpret_cast<const char*>(data) + 1, size - 1);
  asio::io_context io;
  VirtualClock clock(io);
  {
    Scope scope(io.get_executor(), "fuzz");
    auto [client, server] = memory_conn_pair(io.get_executor(), clock);
    H2Limits limits;
    limits.head_bytes_max = 2048;
    const auto session = std::make_shared<H2Session>(
        io.get_executor(), std::move(server), "", clock, limits,
        [&scope](ConnPtr conn) { scope.spawn(quietly(answer(std::move(conn)))); });
    scope.spawn(session->run(session));
    scope.spawn(quietly(feed(std::move(client), text, data[0] % 64 + 1)));
    clock.run_while_not([&] { return scope.running() == 0; }, std::chrono::hours(1));
    scope.cancel();
    clock.run_ready();
  }
  return 0;
}
