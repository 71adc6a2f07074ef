// The public side of the gateway: HTTP/1.1 from clients, streamed to instances and back.
#pragma once

#include <list>

#include "base/random.h"
#include "base/scope.h"
#include "base/socket_conn.h"
#include "gateway/access_log.h"
#include "gateway/route_table.h"
#include "http/brief_room.h"
#include "http/h2_session.h"
#include "http/idle_conns.h"
#include "http/message.h"
#include "http/url.h"

namespace mesclun::gateway {

struct ProxyLimits {
  size_t connections_max = 20'000;
  size_t head_bytes_max = 32 * 1024;            // of a request; answers may have 64 KiB
  uint64_t body_bytes_max = uint64_t{1} << 30;  // of a request, with or without a length
  Duration idle_timeout = 75s;                  // between requests of one connection
  Duration head_timeout = 10s;                  // first byte of a request to the end of its head
  Duration body_idle_timeout = 60s;             // between pieces of a request's body
  size_t body_bytes_per_second_min = 1024;      // on average, after the first body_idle_timeout
  Duration connect_timeout = 5s;                // to one instance
  RetryRule retry;
  size_t kept_bytes_max = 64 * 1024;    // of a request, to send it once more
  Duration stream_idle_timeout = 100s;  // silence in a streaming answer or a WebSocket
  Duration half_close_timeout = 10s;    // an answer for a client that sends no more
  bool trust_forwarded = false;         // a proxy of ours is in front
  // Answered here whatever the host, with room of its own beyond connections_max; empty: off.
  std::string health_path = {};
  bool http2 = true;
  // Where TLS is: who comes without is sent there, and is not served. 0: there is no such place.
  uint16_t https_port = 0;
  bool path_names = false;  // /@NAME/... reaches a group as its host name does
  PoolLimits pool;
};

class ClientConnection;

// Runs on:  the gateway's loop. The table and the clock outlive it.
class Proxy {
 public:
  // `random`: for the ids of requests.
  Proxy(const asio::any_io_executor& executor, Clock& clock, Random& random, ProxyLimits limits,
        RouteTable& table);

  // From now on every request is logged there.
  void log_to(AccessLog log) { access_log_.emplace(std::move(log)); }

  void serve(Listener listener);
  void serve(ConnPtr conn);
  // Of a client that speaks HTTP/2; `read` was read of it before.
  void serve_http2(ConnPtr conn, std::string read);
  // Takes no new connection, ends idle ones, lets requests in flight end for at most `drain`.
  Task<void> stop(Duration drain);

  // All that are open, streams of HTTP/2 too, and those of them that wait for a request without a
  // task of their own.
  size_t connections() const { return clients_.size() + idle_.size() + http2_.size(); }
  size_t resting() const { return idle_.size(); }
  uint64_t unknown_hosts() const { return unknown_hosts_; }

  // ---- for connections ----
  const ProxyLimits& limits() const { return limits_; }
  Clock& clock() { return clock_; }
  RouteTable& table() { return table_; }
  Scope& scope() { return scope_; }
  bool stopping() const { return stopping_; }
  bool is_health(const RequestHead& head) const {
    return !limits_.health_path.empty() && target_path(head.target) == limits_.health_path;
  }
  bool redirects(const Conn& conn) const { return limits_.https_port != 0 && !conn.is_encrypted(); }
  void count_unknown_host() { ++unknown_hosts_; }
  // Writes the client's own id, or makes one that no other gateway makes.
  void name_request(std::string_view own, std::string& id);
  AccessLog* access_log() { return access_log_ ? &*access_log_ : nullptr; }
  const AccessLog* access_log() const { return access_log_ ? &*access_log_ : nullptr; }

 private:
  Task<Result<>> accept_loop(std::shared_ptr<Listener> listener);
  // Of who comes beyond connections_max.
  Task<Result<>> turn_away(std::shared_ptr<ClientConnection> client);
  // Without a task until the client has said something.
  void rest(IdleConns::Entry entry, TimePoint until);
  void attend(IdleConns::Entry entry);
  Task<Result<>> keep(std::shared_ptr<ClientConnection> client);
  Task<Result<>> keep_http2(std::shared_ptr<H2Session> session);
  Task<Result<>> tidy();
  Task<Result<>> let_silent_rest();
  void give_back_memory();

  // The most there were since memory was given back.
  struct Most {
    // They were many, and half have gone.
    bool has_halved(size_t now);
    size_t value = 0;
  };

  Clock& clock_;
  const ProxyLimits limits_;
  RouteTable& table_;
  std::list<ClientConnection*> clients_;
  std::list<H2Session*> http2_;  // whose streams are clients
  IdleConns idle_;
  BriefRoom beyond_;
  Most most_clients_;
  Most most_connections_;
  uint64_t unknown_hosts_ = 0;
  const std::string id_prefix_;
  uint64_t last_id_ = 0;
  std::optional<AccessLog> access_log_;
  bool stopping_ = false;
  Scope listeners_;
  Scope scope_;
};

}  // namespace mesclun::gateway
