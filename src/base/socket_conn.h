// Real connections: TCP and unix sockets, dialling and listening.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <optional>

#include "base/conn.h"

namespace mesclun {

// Where to dial or listen: "127.0.0.1:8800", "[::1]:80", "localhost:80" or "unix:/run/x.sock".
struct Endpoint {
  std::string host;  // the path, for a unix socket
  uint16_t port = 0;
  bool is_unix = false;

  std::string to_string() const;
};
// `default_port` is used when the text names none; 0 makes the port required.
Result<Endpoint> parse_endpoint(std::string_view text, uint16_t default_port = 0);

using StreamSocket = asio::generic::stream_protocol::socket;

// Takes over a connected socket. `peer` is what peer_address() answers.
ConnPtr make_socket_conn(StreamSocket socket, std::string peer);
// Takes over a connected descriptor; it is closed on error.
Result<ConnPtr> adopt_descriptor(const asio::any_io_executor& executor, int descriptor);

// Which addresses may be connected to; null: all.
using AddressRule = bool (*)(const asio::ip::address&);

// Connects; tries every address of the name within the one limit, the next one beside those before
// when they do not answer at once (RFC 8305). "localhost" is both loopbacks. Unavailable: refused or
// unreachable. PermissionDenied: `rule` allows none of its addresses; it allows no socket file.
Task<Result<ConnPtr>> dial(Endpoint endpoint, Clock& clock, Duration limit,
                           AddressRule rule = nullptr);
// Connects a socket made by the caller, for example in another network namespace; closed on error.
Task<Result<ConnPtr>> connect_descriptor(int descriptor, asio::ip::address address, uint16_t port,
                                         Clock& clock, Duration limit);
// True if every address of the host is this machine's own.
Task<Result<bool>> is_this_machine(Endpoint endpoint);

class Listener {
 public:
  // Unavailable names the endpoint and what to do, for example for a port in use.
  static Result<Listener> bind(const asio::any_io_executor& executor, const Endpoint& endpoint);
  // Takes over a descriptor that listens already.
  static Result<Listener> adopt(const asio::any_io_executor& executor, int descriptor);

  // Survives a shortage of descriptors: waits and tries again.
  Task<Result<ConnPtr>> accept(Clock& clock);
  void close();
  // With the port that the system chose, if it was asked to.
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
  Listener(Acceptor acceptor, Endpoint endpoint)
      : acceptor_(std::move(acceptor)), endpoint_(std::move(endpoint)) {}

  Acceptor acceptor_;
  Endpoint endpoint_;
};

}  // namespace mesclun
