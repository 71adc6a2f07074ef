#include "link/upgrade.h"

#include <fmt/format.h>

#include "http/client.h"

namespace mesclun::link {

namespace {

constexpr Duration kConnectLimit = 5s;
constexpr Duration kAnswerLimit = 5s;
constexpr std::string_view kTicketHeader = "Mesclun-Tunnel-Ticket";

}  // namespace

Task<Result<ConnPtr>> dial_upgrade(Endpoint endpoint, Clock& clock, Upgrade upgrade,
                                   std::string ticket) {
  std::string host = endpoint.is_unix ? "localhost" : endpoint.to_string();
  CO_TRY(ConnPtr conn, co_await dial(std::move(endpoint), clock, kConnectLimit));
  conn->set_deadline(clock.now() + kAnswerLimit);
  HeaderList headers;
  if (!ticket.empty()) headers.add(kTicketHeader, ticket);
  CO_TRY(ConnPtr upgraded,
         co_await http_upgrade(std::move(conn), std::move(host), std::string(upgrade.path),
                               std::string(upgrade.protocol), std::move(headers)));
  upgraded->set_deadline(TimePoint::max());
  co_return std::move(upgraded);
}

Result<HttpResponse> accept_upgrade(const HttpRequest& request, Upgrade upgrade) {
  if (!request.head.headers.has_token("Upgrade", upgrade.protocol)) {
    return Error::invalid(fmt::format("ask for an upgrade to {}", upgrade.protocol));
  }
  HttpResponse response{.status = 101};
  response.headers.add("Connection", "Upgrade");
  response.headers.add("Upgrade", upgrade.protocol);
  return response;
}

std::string shown_ticket(const HttpRequest& request) {
  return std::string(request.head.headers.find(kTicketHeader).value_or(""));
}

}  // namespace mesclun::link
