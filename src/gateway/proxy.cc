#include "gateway/proxy.h"

#include <fmt/format.h>
#include <malloc.h>

#include "base/log.h"
#include "base/race.h"
#include "gateway/client_connection.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kTidyEvery = 500ms;
// A connection that waits for longer than the busy do needs no task, and how many end theirs in one
// turn of the loop: some 2 ms of work.
constexpr Duration kRestAfter = 200ms;
constexpr Duration kRestLook = 100ms;
constexpr size_t kRestAtOnce = 300;
// So many that leave make memory worth giving back: some 2 MB.
constexpr size_t kMany = 200;
// Clients that are being told that there is no room; beyond, they are only cut off.
constexpr size_t kTurnedAwayMax = 1000;
// To one of them, where health has a path.
constexpr Duration kBriefTime = 2s;

}  // namespace

Proxy::Proxy(const asio::any_io_executor& executor, Clock& clock, Random& random,
             ProxyLimits limits, RouteTable& table)
    : clock_(clock),
      limits_(limits),
      table_(table),
      idle_([this](IdleConns::Entry entry) { attend(std::move(entry)); }),
      beyond_(executor),
      id_prefix_(fmt::format("{:016x}-", random.next())),
      listeners_(executor, "gateway listeners"),
      scope_(executor, "gateway clients") {
  listeners_.spawn(tidy());
  listeners_.spawn(let_silent_rest());
}

void Proxy::serve(Listener listener) {
  listeners_.spawn(accept_loop(std::make_shared<Listener>(std::move(listener))));
}

Task<Result<>> Proxy::accept_loop(std::shared_ptr<Listener> listener) {
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener->accept(clock_));
    serve(std::move(conn));
  }
}

void Proxy::serve(ConnPtr conn) {
  if (stopping_) return;
  // Who only rests makes room: its client opens another connection with its next request.
  if (connections() < limits_.connections_max || idle_.close_oldest()) {
    return rest(IdleConns::Entry(std::move(conn)), clock_.now() + limits_.idle_timeout);
  }
  if (scope_.running() < 2 * limits_.connections_max + kTurnedAwayMax) {
    const auto client = std::make_shared<ClientConnection>(scope_.executor(), *this,
                                                           IdleConns::Entry(std::move(conn)));
    scope_.spawn(turn_away(client));
  }
}

Task<Result<>> Proxy::turn_away(std::shared_ptr<ClientConnection> client) {
  const bool heard = !limits_.health_path.empty() &&
                     co_await beyond_.stay(clock_, kBriefTime, client->answer_briefly(client));
  if (!heard) co_await client->turn_away();
  client->close();
  co_return Result<>();
}

void Proxy::rest(IdleConns::Entry entry, TimePoint until) {
  if (!idle_.keep(entry, until)) attend(std::move(entry));
}

void Proxy::attend(IdleConns::Entry entry) {
  const auto client =
      std::make_shared<ClientConnection>(scope_.executor(), *this, std::move(entry));
  // In this order: what has come is read by the time that somebody asks for it.
  scope_.spawn(client->read_ahead(client));
  scope_.spawn(keep(client));
}

Task<Result<>> Proxy::keep(std::shared_ptr<ClientConnection> client) {
  const auto entry = clients_.insert(clients_.end(), client.get());
  const Result<> end = co_await client->run(client);
  clients_.erase(entry);
  if (client->speaks_http2()) {
    serve_http2(client->take_rest().take(), client->take_read());
  } else if (client->rests() && !stopping_) {
    rest(client->take_rest(), client->idle_since() + limits_.idle_timeout);
  } else {
    client->close();
  }
  co_return end;
}

void Proxy::serve_http2(ConnPtr conn, std::string read) {
  if (stopping_ || (connections() >= limits_.connections_max && !idle_.close_oldest())) return;
  const H2Limits limits{.head_bytes_max = limits_.head_bytes_max,
                        .head_timeout = limits_.head_timeout,
                        .idle_timeout = limits_.idle_timeout,
                        .write_timeout = limits_.stream_idle_timeout};
  scope_.spawn(keep_http2(
      std::make_shared<H2Session>(scope_.executor(), std::move(conn), std::move(read), clock_,
                                  limits, [this](ConnPtr stream) { serve(std::move(stream)); })));
}

Task<Result<>> Proxy::keep_http2(std::shared_ptr<H2Session> session) {
  const auto entry = http2_.insert(http2_.end(), session.get());
  const Result<> end = co_await session->run(session);
  http2_.erase(entry);
  co_return end;
}

Task<Result<>> Proxy::tidy() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kTidyEvery));
    const TimePoint now = clock_.now();
    give_back_memory();
    if (access_log_) access_log_->flush();
    table_.for_each([&](Group& group) {
      group.drop_stale_streams(limits_.pool, now);
      // A tunnel that speaks again frees instances without any event of its own.
      group.serve_waiting();
    });
  }
}

void Proxy::name_request(std::string_view own, std::string& id) {
  if (!own.empty()) {
    id = own;
    return;
  }
  id = id_prefix_;
  fmt::format_to(std::back_inserter(id), "{:x}", ++last_id_);
}

Task<Result<>> Proxy::let_silent_rest() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kRestLook));
    const TimePoint before = clock_.now() - kRestAfter;
    size_t some = 0;
    for (ClientConnection* client : clients_) {
      if (!client->idle() || client->idle_since() > before) continue;
      client->let_go();
      if (++some == kRestAtOnce) break;
    }
  }
}

// The allocator keeps what many small pieces were cut from, until it is told to look.
void Proxy::give_back_memory() {
  const bool fewer = most_clients_.has_halved(clients_.size());
  if (most_connections_.has_halved(connections()) || fewer) ::malloc_trim(0);
}

bool Proxy::Most::has_halved(size_t now) {
  value = std::max(value, now);
  if (value - now < kMany || now > value / 2) return false;
  value = now;
  return true;
}

Task<void> Proxy::stop(Duration drain) {
  stopping_ = true;
  co_await listeners_.stop();
  // Closing a connection may end its task, which leaves the list.
  const std::vector<ClientConnection*> clients(clients_.begin(), clients_.end());
  for (ClientConnection* client : clients) {
    // Unless a request has come that was not read yet.
    if (client->idle() && client->conn().is_clean()) client->close();
  }
  idle_.close_silent();
  for (H2Session* session : http2_) session->drain();
  const TimePoint end = clock_.now() + drain;
  while ((scope_.running() > 0 || idle_.size() > 0) && clock_.now() < end) {
    if (!co_await clock_.sleep_for(20ms)) break;
  }
  idle_.clear();
  if (!clients_.empty()) {
    log_warning("gateway", "stopped with requests in flight", {{"connections", clients_.size()}});
  }
  co_await scope_.stop();
}

}  // namespace mesclun::gateway
