#include "gateway/proxy.h"

#include <malloc.h>

#include "base/log.h"
#include "base/race.h"
#include "gateway/client_connection.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kTidyEvery = 500ms;
constexpr size_t kManyClients = 1000;
// Clients that are being told that there is no room; beyond, they are only cut off.
constexpr size_t kTurnedAwayMax = 1000;

}  // namespace

Proxy::Proxy(const asio::any_io_executor& executor, Clock& clock, ProxyLimits limits,
             RouteTable& table)
    : clock_(clock),
      limits_(limits),
      table_(table),
      listeners_(executor, "gateway listeners"),
      scope_(executor, "gateway clients") {
  listeners_.spawn(tidy());
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
  const auto client = std::make_shared<ClientConnection>(scope_.executor(), *this, std::move(conn));
  if (clients_.size() >= limits_.connections_max) {
    if (scope_.running() < 2 * limits_.connections_max + kTurnedAwayMax) {
      scope_.spawn(client->turn_away(client));
    }
    return;
  }
  scope_.spawn(keep(client));
  scope_.spawn(client->read_ahead(client));
}

Task<Result<>> Proxy::keep(std::shared_ptr<ClientConnection> client) {
  const auto entry = clients_.insert(clients_.end(), client.get());
  const Result<> end = co_await client->run(client);
  client->close();
  clients_.erase(entry);
  co_return end;
}

Task<Result<>> Proxy::tidy() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kTidyEvery));
    const TimePoint now = clock_.now();
    for (ClientConnection* client : clients_) client->tidy();
    give_back_memory();
    table_.for_each([&](Group& group) {
      group.drop_stale_streams(limits_.pool, now);
      // A tunnel that speaks again frees instances without any event of its own.
      group.serve_waiting();
    });
  }
}

// The allocator keeps what many small pieces were cut from, until it is told to look.
void Proxy::give_back_memory() {
  most_clients_ = std::max(most_clients_, clients_.size());
  if (most_clients_ < kManyClients || clients_.size() > most_clients_ / 2) return;
  most_clients_ = clients_.size();
  ::malloc_trim(0);
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
  const TimePoint end = clock_.now() + drain;
  while (scope_.running() > 0 && clock_.now() < end) {
    if (!co_await clock_.sleep_for(20ms)) break;
  }
  if (!clients_.empty()) {
    log_warning("gateway", "stopped with requests in flight", {{"connections", clients_.size()}});
  }
  co_await scope_.stop();
}

}  // namespace mesclun::gateway
