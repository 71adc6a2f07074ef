#include "agent/node_dialers.h"

#include "http/client.h"
#include "link/tunnel.h"

namespace mesclun::agent {

namespace {

constexpr Duration kConnectLimit = 5s;
constexpr Duration kUpgradeLimit = 5s;

Task<Result<ConnPtr>> dial_upgraded(Endpoint endpoint, Clock& clock, std::string path,
                                    std::string protocol, HeaderList headers) {
  const std::string host = endpoint.is_unix ? "localhost" : endpoint.to_string();
  CO_TRY(ConnPtr conn, co_await dial(std::move(endpoint), clock, kConnectLimit));
  conn->set_deadline(clock.now() + kUpgradeLimit);
  CO_TRY(ConnPtr upgraded, co_await http_upgrade(std::move(conn), host, std::move(path),
                                                 std::move(protocol), std::move(headers)));
  upgraded->set_deadline(TimePoint::max());
  co_return std::move(upgraded);
}

}  // namespace

Task<Result<link::SessionPtr>> CloudDialer::dial() {
  CO_TRY(ConnPtr conn, co_await dial_upgraded(cloud_, clock_, std::string(link::kSessionPath),
                                              std::string(link::kSessionProtocol), HeaderList{}));
  co_return link::make_conn_session(std::move(conn), executor_, clock_);
}

Task<Result<>> GatewayDialer::carry(std::string gateway, std::string ticket,
                                    ConnectInstance connect, std::function<void()> up) {
  CO_TRY(Endpoint endpoint, parse_endpoint(gateway));
  HeaderList headers;
  headers.add(kTicketHeader, ticket);
  CO_TRY(ConnPtr conn,
         co_await dial_upgraded(std::move(endpoint), clock_, std::string(link::kTunnelPath),
                                std::string(link::kTunnelProtocol), std::move(headers)));
  auto to_instance = [connect = std::move(connect)](link::TunnelTarget target) {
    return connect(std::move(target.instance_id), target.port);
  };
  const std::unique_ptr<link::Tunnel> tunnel =
      link::Tunnel::accepting(executor_, std::move(conn), clock_, std::move(to_instance));
  up();
  co_return co_await tunnel->run();
}

}  // namespace mesclun::agent
