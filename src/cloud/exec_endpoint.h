// Commands beside instances, for their owners: WebSockets and what lets browsers in. An addition of
// ours, under /api/mesclun (docs/applications/exec.md).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/exec_places.h"
#include "cloud/exec_tickets.h"
#include "cloud/fleet_loop.h"
#include "cloud/node_hub.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it; stop() before its end.
class ExecEndpoint {
 public:
  ExecEndpoint(const asio::any_io_executor& executor, Clock& clock, Random& random,
               const Accounts& accounts, FleetLoop& loop, NodeHub& nodes, ExecLimits limits)
      : clock_(clock),
        random_(random),
        accounts_(accounts),
        loop_(loop),
        nodes_(nodes),
        tickets_(clock, random),
        places_(limits),
        scope_(executor, "commands for people") {}

  // `path` is what follows the project.
  static bool serves(const std::vector<std::string>& path) {
    return path.size() == 5 && path[0] == "containers" && path[2] == "instances" &&
           path[4] == "exec";
  }
  // What a request shows instead of a key; it is used up. Unauthenticated: no such ticket.
  Result<ExecTicket> redeem(const HttpRequest& request, const std::string& path);
  // GET: the WebSocket; its query is command (once for each word), tty, rows, columns, term.
  // POST: {"ticket", "expires_in_seconds"} for the same path; may name the `origin` of the page.
  // `shown`: the ticket that let it in, if one did.
  Answer handle(HttpRequest request, ApiTarget target, std::string path,
                std::optional<ExecTicket> shown);
  // Ends all commands.
  Task<void> stop() { return scope_.stop(); }

 private:
  struct Place {
    std::string group;
    std::string node_id;
    std::string instance_id;
  };
  Task<Result<Place>> find(ApiTarget target);
  Result<HttpResponse> give_ticket(const HttpRequest& request, const ApiTarget& target,
                                   const std::string& path);
  Task<Result<>> serve(ConnPtr conn, HttpRequest request, Place where, link::ExecOpen order,
                       std::string key_id, ExecPlaces::Place place);

  Clock& clock_;
  Random& random_;
  const Accounts& accounts_;
  FleetLoop& loop_;
  NodeHub& nodes_;
  ExecTickets tickets_;
  ExecPlaces places_;
  Scope scope_;
};

}  // namespace mesclun::cloud
