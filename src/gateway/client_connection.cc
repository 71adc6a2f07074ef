#include "gateway/client_connection.h"

#include "gateway/exchange.h"
#include "http/h2_preface.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kAnswerTimeout = 10s;  // for the client to take an answer that ends it all
// At once or not at all: a flood must cost little.
constexpr LingerLimits kTurnAway{
    .silence_max = 100ms, .bytes_per_second_min = 100 * 1024 * 1024, .bytes_max = 1024 * 1024};

constexpr Duration kBriefHead = 1s;  // of a request beyond the bound of connections
const Refusal kTooMany{503, "too_many_connections", "the gateway has all the connections it takes"};

std::string health_answer(Proxy& proxy, bool to_head, bool keep_alive) {
  const RefusalForm form{.to_head = to_head, .keep_alive = keep_alive};
  if (proxy.stopping()) return render({503, "stopping", "the gateway is ending"}, form);
  if (!proxy.table().loaded()) return render(kStarting, form);
  constexpr std::string_view kBody = "ok\n";
  ResponseHead head;
  head.status = 200;
  head.headers.add("Content-Type", "text/plain");
  head.headers.add("Content-Length", std::to_string(kBody.size()));
  head.headers.add("Cache-Control", "no-store");
  if (!keep_alive) head.headers.add("Connection", "close");
  std::string out;
  write_head(head, out);
  if (!to_head) out += kBody;
  return out;
}

}  // namespace

ClientConnection::ClientConnection(const asio::any_io_executor& executor, Proxy& proxy,
                                   IdleConns::Entry entry)
    : proxy_(proxy),
      entry_(std::move(entry)),
      conn_(entry_.conn()),
      address_(conn_.peer_address()),
      input_(executor, conn_, proxy.clock(), proxy.limits().half_close_timeout) {}

Task<Result<>> ClientConnection::read_ahead(std::shared_ptr<ClientConnection> self) {
  co_return co_await self->input_.run();
}

Task<Result<>> ClientConnection::run(std::shared_ptr<ClientConnection> self) {
  while (true) {
    HttpReader reader = HttpReader::request(input_, proxy_.limits().head_bytes_max);
    if (!co_await read_head(reader)) co_return Result<>();
    if (proxy_.is_health(reader.request_head())) {
      if (!co_await answer_health(reader)) co_return Result<>();
      continue;
    }
    if (proxy_.redirects(conn_)) {
      if (!co_await redirect(reader)) co_return Result<>();
      continue;
    }
    const auto exchange = std::make_shared<Exchange>(proxy_, self, std::move(reader));
    const Exchange::End end = co_await exchange->run(exchange);
    scratch_.clear();
    input_.trim();
    if (end == Exchange::End::LeaveSlowly) {
      co_await end_slowly();
      co_return Result<>();
    }
    if (end != Exchange::End::KeepAlive) co_return Result<>();
  }
}

Task<bool> ClientConnection::read_head(HttpReader& reader) {
  const ProxyLimits& limits = proxy_.limits();
  // Waiting for a request is patient; once its first byte is here, its head is not.
  idle_ = input_.bytes().empty() && !input_.fill_now();
  conn_.set_deadline(proxy_.clock().now() + (idle_ ? limits.idle_timeout : limits.head_timeout));
  if (idle_) {
    idle_since_ = proxy_.clock().now();
    if (proxy_.stopping()) co_return false;
    const Result<bool> more = co_await input_.fill();
    if (!more || !*more) co_return false;
    idle_ = false;
    conn_.set_deadline(proxy_.clock().now() + limits.head_timeout);
  }
  if (std::exchange(first_, false) && limits.http2) {
    const Result<bool> http2 = co_await begins_with(input_, kH2Preface);
    if (http2 && *http2) {
      read_ = co_await input_.take_over();
      speaks_http2_ = true;
      co_return false;
    }
  }
  // Most heads are whole by now.
  Result<bool> whole = reader.take_head();
  if (whole && !*whole) whole = co_await reader.read_head();
  if (whole) co_return *whole;
  if (whole.code() == ErrorCode::InvalidArgument) {
    co_await answer_and_end({400, "bad_request", whole.error().message});
  } else if (whole.code() == ErrorCode::DeadlineExceeded && reader.began()) {
    co_await answer_and_end({408, "slow_request", "the head of the request came too slowly"});
  }
  co_return false;
}

Task<void> ClientConnection::answer_and_end(Refusal refusal) {
  conn_.set_deadline(proxy_.clock().now() + kAnswerTimeout);
  const std::string text = render(refusal, {});
  if (co_await conn_.write(text)) co_await end_slowly();
}

Task<void> ClientConnection::end_slowly() {
  input_.bulk = true;
  if (!input_.ended()) co_return co_await linger(conn_, input_, proxy_.clock());
  // Nobody reads ahead any more.
  ConnInput direct(conn_);
  co_await linger(conn_, direct, proxy_.clock());
}

Task<bool> ClientConnection::answer_health(HttpReader& reader) {
  const bool keep_alive = reader.keep_alive() && reader.body_done() && !proxy_.stopping();
  std::string text = health_answer(proxy_, reader.request_head().method == "HEAD", keep_alive);
  co_return co_await answer_itself(keep_alive, std::move(text));
}

Task<bool> ClientConnection::redirect(HttpReader& reader) {
  const bool keep_alive = reader.keep_alive() && reader.body_done() && !proxy_.stopping();
  const RequestHead& head = reader.request_head();
  if (head.host.empty()) {
    co_await answer_and_end(kNoHost);
    co_return false;
  }
  std::string text =
      render_redirect(head.host, proxy_.limits().https_port, head.target, keep_alive);
  co_return co_await answer_itself(keep_alive, std::move(text));
}

Task<bool> ClientConnection::answer_itself(bool keep_alive, std::string text) {
  conn_.set_deadline(proxy_.clock().now() + kAnswerTimeout);
  if (!co_await conn_.write(text)) co_return false;
  if (!keep_alive) co_await end_slowly();
  input_.trim();
  co_return keep_alive;
}

Task<Result<>> ClientConnection::answer_briefly(std::shared_ptr<ClientConnection> self) {
  ConnInput direct(self->conn_);
  HttpReader reader = HttpReader::request(direct, proxy_.limits().head_bytes_max);
  conn_.set_deadline(proxy_.clock().now() + kBriefHead);
  const Result<bool> whole = co_await reader.read_head();
  if (!whole || !*whole) co_return Result<>();
  const bool to_head = reader.request_head().method == "HEAD";
  const std::string text = proxy_.is_health(reader.request_head())
                               ? health_answer(proxy_, to_head, false)
                               : render(kTooMany, {.to_head = to_head});
  conn_.set_deadline(proxy_.clock().now() + kTurnAway.silence_max);
  if (co_await conn_.write(text)) co_await linger(conn_, direct, proxy_.clock(), kTurnAway);
  co_return Result<>();
}

Task<void> ClientConnection::turn_away() {
  conn_.set_deadline(proxy_.clock().now() + kTurnAway.silence_max);
  const std::string text = render(kTooMany, {});
  ConnInput direct(conn_);
  if (co_await conn_.write(text)) co_await linger(conn_, direct, proxy_.clock(), kTurnAway);
}

}  // namespace mesclun::gateway
