#include "http/websocket.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <vector>

namespace mesclun {

namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using ErrorOf = boost::system::error_code;

// For Beast to mask at once.
constexpr size_t kWriteBytes = 64 * 1024;

struct Moved {
  ErrorOf error;
  size_t bytes = 0;
};

ErrorOf code_of(const Error& error) {
  return error.code == ErrorCode::Cancelled ? ErrorOf(asio::error::operation_aborted)
                                            : ErrorOf(asio::error::broken_pipe);
}

Task<Moved> read_conn(Conn& conn, asio::mutable_buffer buffer) {
  const Result<size_t> n = co_await conn.read_some(buffer);
  if (!n) co_return Moved{.error = code_of(n.error())};
  if (*n == 0) co_return Moved{.error = asio::error::eof};
  co_return Moved{.bytes = *n};
}

Task<Moved> write_conn(Conn& conn, std::vector<asio::const_buffer> buffers) {
  const Result<> written = co_await conn.write(buffers);
  if (!written) co_return Moved{.error = code_of(written.error())};
  co_return Moved{.bytes = asio::buffer_size(buffers)};
}

// A connection as Beast wants it.
class ConnStream {
 public:
  using executor_type = asio::any_io_executor;

  ConnStream(ConnPtr conn, executor_type executor)
      : conn_(std::move(conn)), executor_(std::move(executor)) {}

  const executor_type& get_executor() const { return executor_; }
  Conn& conn() { return *conn_; }
  const Conn& conn() const { return *conn_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    asio::mutable_buffer first;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
         ++it) {
      first = *it;
      if (first.size() > 0) break;
    }
    return initiate(read_conn(*conn_, first), std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    std::vector<asio::const_buffer> all(asio::buffer_sequence_begin(buffers),
                                        asio::buffer_sequence_end(buffers));
    return initiate(write_conn(*conn_, std::move(all)), std::forward<Token>(token));
  }

 private:
  template <class Token>
  auto initiate(Task<Moved> task, Token&& token) {
    return asio::async_initiate<Token, void(ErrorOf, size_t)>(
        [executor = executor_](auto handler, Task<Moved> work) {
          auto slot = asio::get_associated_cancellation_slot(handler);
          auto done = [handler = std::move(handler)](std::exception_ptr thrown,
                                                     Moved moved) mutable {
            if (thrown) std::rethrow_exception(thrown);
            std::move(handler)(moved.error, moved.bytes);
          };
          asio::co_spawn(executor, std::move(work),
                         asio::bind_cancellation_slot(slot, std::move(done)));
        },
        token, std::move(task));
  }

  ConnPtr conn_;
  executor_type executor_;
};

// What Beast looks for by the type.
template <class Handler>
void async_teardown(beast::role_type, ConnStream& stream, Handler&& handler) {
  stream.conn().close();
  asio::post(stream.get_executor(),
             [handler = std::forward<Handler>(handler)]() mutable { handler(ErrorOf()); });
}
[[maybe_unused]] void teardown(beast::role_type, ConnStream& stream, ErrorOf& error) {
  stream.conn().close();
  error = {};
}
[[maybe_unused]] void beast_close_socket(ConnStream& stream) {
  stream.conn().close();
}

class BeastSocket final : public WebSocket {
 public:
  BeastSocket(ConnPtr conn, const asio::any_io_executor& executor, size_t bytes_max)
      : stream_(ConnStream(std::move(conn), executor)) {
    stream_.read_message_max(bytes_max);
    stream_.auto_fragment(false);
    stream_.write_buffer_bytes(kWriteBytes);
    // Whose life is asked after, and how long one waits, is the caller's.
    stream_.set_option(
        websocket::stream_base::timeout{.handshake_timeout = websocket::stream_base::none(),
                                        .idle_timeout = websocket::stream_base::none(),
                                        .keep_alive_pings = false});
    stream_.control_callback([this](websocket::frame_type, beast::string_view) { ++heard_; });
  }

  websocket::stream<ConnStream>& stream() { return stream_; }

  Task<Result<WebSocketMessage>> read() override {
    beast::flat_buffer buffer;
    auto [error, n] = co_await stream_.async_read(buffer, asio::as_tuple(asio::use_awaitable));
    if (error) co_return error_of(error, co_await cancel_requested());
    ++heard_;
    WebSocketMessage message{.text = stream_.got_text(), .data = {}};
    message.data.assign(static_cast<const char*>(buffer.data().data()), n);
    co_return message;
  }

  Task<Result<>> write(WebSocketMessage message) override {
    stream_.text(message.text);
    auto [error, n] = co_await stream_.async_write(asio::buffer(message.data),
                                                   asio::as_tuple(asio::use_awaitable));
    if (error) co_return error_of(error, co_await cancel_requested());
    co_return Result<>();
  }

  Task<Result<>> ping() override {
    auto [error] = co_await stream_.async_ping({}, asio::as_tuple(asio::use_awaitable));
    if (error) co_return error_of(error, co_await cancel_requested());
    co_return Result<>();
  }

  uint64_t heard() const override { return heard_; }

  Task<Result<>> close(CloseCode code, std::string reason) override {
    const websocket::close_reason why(static_cast<websocket::close_code>(code), reason);
    auto [error] = co_await stream_.async_close(why, asio::as_tuple(asio::use_awaitable));
    if (error) co_return error_of(error, co_await cancel_requested());
    co_return Result<>();
  }

  void abort() override { stream_.next_layer().conn().close(); }

  bool peer_is_gone() const override {
    return stream_.next_layer().conn().peer() != Conn::Peer::There;
  }

 private:
  Error error_of(const ErrorOf& error, bool cancelled) const {
    if (cancelled) return Error::cancelled();
    // By our own close().
    if (error == asio::error::operation_aborted) return Error::unavailable("it is closed");
    if (error == websocket::error::closed) {
      const websocket::close_reason& why = stream_.reason();
      return Error::unavailable(
          fmt::format("the other side closed it: {} {}", why.code,
                      std::string_view(why.reason.data(), why.reason.size())));
    }
    if (error == websocket::error::message_too_big || error == websocket::error::buffer_overflow) {
      return {ErrorCode::OutOfRange, "a message is too long"};
    }
    if (error == websocket::condition::protocol_violation ||
        error == websocket::condition::handshake_failed) {
      return Error::invalid(error.message());
    }
    return Error::unavailable(error.message());
  }

  websocket::stream<ConnStream> stream_;
  uint64_t heard_ = 0;
};

beast::string_view view_of(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

bool asks_for_websocket(const HttpRequest& request) {
  return request.head.headers.has_token("Upgrade", "websocket") &&
         request.head.headers.has_token("Connection", "upgrade");
}

Task<Result<WebSocketPtr>> accept_websocket(ConnPtr conn, HttpRequest request, size_t bytes_max) {
  beast::http::request<beast::http::empty_body> read;
  read.version(request.head.http_1_0 ? 10 : 11);
  read.method_string(view_of(request.head.method));
  read.target(view_of(request.head.target));
  for (size_t i = 0; i < request.head.headers.size(); ++i) {
    const HeaderList::View field = request.head.headers[i];
    read.insert(view_of(field.name), view_of(field.value));
  }
  auto socket =
      std::make_unique<BeastSocket>(std::move(conn), co_await asio::this_coro::executor, bytes_max);
  auto [error] = co_await socket->stream().async_accept(read, asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error) co_return Error::invalid(error.message());
  co_return WebSocketPtr(std::move(socket));
}

Task<Result<WebSocketPtr>> dial_websocket(ConnPtr conn, std::string host, std::string target,
                                          HeaderList headers, size_t bytes_max,
                                          WebSocketRefusal& refused) {
  auto socket =
      std::make_unique<BeastSocket>(std::move(conn), co_await asio::this_coro::executor, bytes_max);
  socket->stream().set_option(
      websocket::stream_base::decorator([&headers](websocket::request_type& request) {
        for (size_t i = 0; i < headers.size(); ++i) {
          request.set(view_of(headers[i].name), view_of(headers[i].value));
        }
      }));
  websocket::response_type answer;
  auto [error] = co_await socket->stream().async_handshake(answer, host, target,
                                                           asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error) {
    refused = {.status = static_cast<int>(answer.result_int()), .body = answer.body()};
    if (error != websocket::error::upgrade_declined) refused.status = 0;
    co_return Error::unavailable(error.message());
  }
  co_return WebSocketPtr(std::move(socket));
}

}  // namespace mesclun
