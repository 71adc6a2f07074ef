#include "gateway/client_connection.h"

#include "gateway/exchange.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kAnswerTimeout = 10s;  // for the client to take an answer that ends it all
constexpr Duration kLinger = 2s;
constexpr size_t kLingerBytesMax = 1024 * 1024;

}  // namespace

ClientConnection::ClientConnection(const asio::any_io_executor& executor, Proxy& proxy,
                                   ConnPtr conn)
    : proxy_(proxy),
      conn_(std::move(conn)),
      address_(conn_->peer_address()),
      input_(executor, *conn_) {}

Task<Result<>> ClientConnection::read_ahead(std::shared_ptr<ClientConnection> self) {
  co_return co_await self->input_.run();
}

Task<Result<>> ClientConnection::run(std::shared_ptr<ClientConnection> self) {
  while (true) {
    HttpParser parser = HttpParser::request(proxy_.limits().head_bytes_max);
    if (!co_await read_head(parser)) co_return Result<>();
    const auto exchange = std::make_shared<Exchange>(proxy_, self, std::move(parser));
    const Exchange::End end = co_await exchange->run(exchange);
    input_.on_gone = nullptr;
    scratch_.clear();
    if (end == Exchange::End::LeaveSlowly) {
      co_await end_slowly();
      co_return Result<>();
    }
    if (end != Exchange::End::KeepAlive) co_return Result<>();
  }
}

Task<bool> ClientConnection::read_head(HttpParser& parser) {
  const ProxyLimits& limits = proxy_.limits();
  // Waiting for a request is patient; once its first byte is here, its head is not.
  conn_->set_deadline(proxy_.clock().now() +
                      (input_.bytes().empty() ? limits.idle_timeout : limits.head_timeout));
  idle_ = input_.bytes().empty();
  while (idle_) {
    if (proxy_.stopping()) co_return false;
    const Result<bool> more = co_await input_.more(0);
    if (!more || !*more) co_return false;
    idle_ = false;
    conn_->set_deadline(proxy_.clock().now() + limits.head_timeout);
  }
  while (true) {
    const Result<HttpParser::Step> step = parser.parse_head(input_.bytes());
    if (!step) {
      co_await answer_and_end({400, "bad_request", step.error().message});
      co_return false;
    }
    input_.consume(step->consumed);
    if (step->done) co_return true;
    const Result<bool> more = co_await input_.more(input_.bytes().size());
    if (!more && more.code() == ErrorCode::DeadlineExceeded) {
      co_await answer_and_end({408, "slow_request", "the head of the request came too slowly"});
    }
    if (!more || !*more) co_return false;
  }
}

Task<void> ClientConnection::answer_and_end(Refusal refusal) {
  conn_->set_deadline(proxy_.clock().now() + kAnswerTimeout);
  const std::string text = render(refusal, {});
  if (co_await conn_->write(text)) co_await end_slowly();
}

Task<void> ClientConnection::end_slowly() {
  // Closing with unread input would reset the connection, and take the answer from the client.
  conn_->shutdown_write();
  conn_->set_deadline(proxy_.clock().now() + kLinger);
  for (size_t dropped = 0; dropped < kLingerBytesMax;) {
    if (input_.ended()) {
      char sink[4096];
      const Result<size_t> n = co_await conn_->read_some(asio::buffer(sink));
      if (!n || *n == 0) co_return;
      dropped += *n;
      continue;
    }
    dropped += input_.bytes().size();
    input_.consume(input_.bytes().size());
    const Result<bool> more = co_await input_.more(0);
    if (!more || !*more) co_return;
  }
}

Task<Result<>> ClientConnection::turn_away(std::shared_ptr<ClientConnection> self) {
  // At once or not at all: a flood must cost little.
  conn_->set_deadline(proxy_.clock().now() + 100ms);
  const Refusal refusal{503, "too_many_connections",
                        "the gateway has all the connections it takes"};
  const std::string text = render(refusal, {});
  if (co_await conn_->write(text)) {
    // Until the client has read it, or the moment is over.
    conn_->shutdown_write();
    char sink[1024];
    while (true) {
      const Result<size_t> n = co_await conn_->read_some(asio::buffer(sink));
      if (!n || *n == 0) break;
    }
  }
  self->close();
  co_return Result<>();
}

}  // namespace mesclun::gateway
