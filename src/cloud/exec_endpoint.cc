#include "cloud/exec_endpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "cloud/exec_socket.h"
#include "cloud/fleet_views.h"
#include "http/url.h"

namespace mesclun::cloud {

namespace {

constexpr Duration kHandshakeMax = 10s;
constexpr size_t kTermBytesMax = 64;
constexpr size_t kOriginBytesMax = 256;

struct TicketRequest {
  std::optional<std::string> origin;
};
BOOST_DESCRIBE_STRUCT(TicketRequest, (), (origin))

// What a page of ours would be called, by the Host that it was asked for.
bool is_same_origin(const HttpRequest& request, std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && iequals(origin.substr(scheme + 3), request.head.host);
}

// A ticket belongs to the pages that it was made for. A key in a header is shown by no page of
// others: then a foreign origin is a mistake or worse.
Result<> check_origin(const HttpRequest& request, const std::optional<ExecTicket>& shown) {
  const auto origin = request.head.headers.find("Origin");
  const std::string& wanted = shown ? shown->origin : std::string();
  const bool fits = !wanted.empty() ? origin && iequals(*origin, wanted)
                                    : shown || !origin || is_same_origin(request, *origin);
  if (fits) return {};
  return Error{ErrorCode::PermissionDenied,
               "pages of this origin may not open it; name the origin when you ask for the ticket"};
}

Result<bool> read_flag(const HttpRequest& request, std::string_view name) {
  const std::string text = request.query(name).value_or("false");
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return Error::invalid(fmt::format("{} must be true or false", name));
}

Result<link::ExecOpen> read_order(const HttpRequest& request) {
  link::ExecOpen order;
  TRY(order.command, target_query_all(request.head.target, "command"));
  if (order.command.empty() || order.command[0].empty()) {
    return Error::invalid("name the command, once for each word: ?command=ls&command=-l");
  }
  for (const std::string& word : order.command) {
    if (is_utf8(word) && word.find('\0') == std::string::npos) continue;
    return Error::invalid("command: a word is no UTF-8 text, or has a zero byte");
  }
  TRY(order.tty, read_flag(request, "tty"));
  TRY(const int64_t rows, query_number(request, "rows", 24, 1, api::kTerminalSideMax));
  TRY(const int64_t columns, query_number(request, "columns", 80, 1, api::kTerminalSideMax));
  order.rows = static_cast<int32_t>(rows);
  order.columns = static_cast<int32_t>(columns);
  const std::string term = request.query("term").value_or("xterm");
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+' || c == '.';
  };
  if (term.empty() || term.size() > kTermBytesMax || !std::ranges::all_of(term, is_plain)) {
    return Error::invalid("term must be the name of a kind of terminal, such as xterm-256color");
  }
  if (order.tty) order.environment["TERM"] = term;
  return order;
}

}  // namespace

Result<ExecTicket> ExecEndpoint::redeem(const HttpRequest& request, const std::string& path) {
  const std::optional<std::string> secret = request.query("ticket");
  const auto ticket = secret ? tickets_.redeem(*secret) : std::nullopt;
  if (ticket && ticket->path == path && request.head.method == "GET") return *ticket;
  return Error{
      ErrorCode::Unauthenticated,
      "send your API key in the header Salad-Api-Key; a ticket opens what it was made for, "
      "once, within 30 seconds"};
}

Task<Result<ExecEndpoint::Place>> ExecEndpoint::find(ApiTarget target) {
  co_return co_await loop_.ask<Place>([target](const Fleet& fleet, Moment) -> Result<Place> {
    TRY(const Group* group, group_named(fleet, target.project->project_id, target.rest[1]));
    TRY(const Allocation* found, instance_named(fleet, group->id, target.rest[3]));
    if (found->state() != api::InstanceState::Running) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("the instance is {}: commands run beside one that runs",
                               enum_name(found->state()))};
    }
    return Place{.group = group->spec.name,
                 .node_id = found->node_id,
                 .instance_id = found->status.instance_id};
  });
}

Answer ExecEndpoint::handle(HttpRequest request, ApiTarget target, std::string path,
                            std::optional<ExecTicket> shown) {
  const bool get = request.head.method == "GET";
  if (!get && request.head.method != "POST") co_return method_not_allowed("GET, POST");
  CO_TRY(const Place where, co_await find(target));
  CO_TRY_DO(nodes_.check_exec(where.node_id));
  if (!get) co_return give_ticket(request, target, path);
  CO_TRY(link::ExecOpen order, read_order(request));
  if (!asks_for_websocket(request)) {
    co_return Error::invalid("ask for a WebSocket: Connection: Upgrade, Upgrade: websocket");
  }
  CO_TRY_DO(check_origin(request, shown));
  CO_TRY(ExecPlaces::Place place, places_.enter(target.organization_id, where.instance_id));
  order.exec_id = new_uuid(random_);
  order.instance_id = where.instance_id;
  HttpResponse response{.status = 0};
  response.upgrade = [this, request, where, order, key_id = target.key_id, place](ConnPtr conn) {
    scope_.spawn(serve(std::move(conn), request, where, order, key_id, place));
  };
  co_return response;
}

Result<HttpResponse> ExecEndpoint::give_ticket(const HttpRequest& request, const ApiTarget& target,
                                               const std::string& path) {
  ExecTicket ticket{.key_id = target.key_id, .path = path};
  // A page that asks by itself is the one that will show it.
  ticket.origin = request.head.headers.find("Origin").value_or("");
  if (!request.body.empty()) {
    TRY(const TicketRequest body, read_body<TicketRequest>(request));
    if (body.origin) ticket.origin = *body.origin;
  }
  const bool is_origin = ticket.origin.empty() || ticket.origin.find("://") != std::string::npos;
  if (!is_origin || ticket.origin.size() > kOriginBytesMax) {
    return Error::invalid("/origin must be the origin of a page, such as https://portal.example");
  }
  TRY(const std::string secret, tickets_.issue(std::move(ticket)));
  return json_answer(201, json::object{{"ticket", secret},
                                       {"expires_in_seconds",
                                        static_cast<int64_t>(to_seconds(ExecTickets::kLife))}});
}

Task<Result<>> ExecEndpoint::serve(ConnPtr conn, HttpRequest request, Place where,
                                   link::ExecOpen order, std::string key_id,
                                   ExecPlaces::Place place) {
  const ExecPlaces::Place while_it_runs = std::move(place);
  const std::string peer = request.peer;
  Conn& raw = *conn;
  raw.set_deadline(clock_.now() + kHandshakeMax);
  const Result<WebSocketPtr> made =
      co_await accept_websocket(std::move(conn), std::move(request), api::kExecMessageBytesMax);
  // Who asks wrongly has been told so.
  if (!made) co_return Result<>();
  raw.set_deadline(TimePoint::max());
  const std::string exec_id = order.exec_id;
  const auto key = accounts_.keys().find(key_id);
  log_info("exec", "a command begins",
           {{"exec", exec_id},
            {"user", key == accounts_.keys().end() ? std::string() : key->second.user},
            {"key", key_id},
            {"peer", peer},
            {"group", where.group},
            {"instance", where.instance_id},
            {"machine_id", where.node_id},
            {"tty", order.tty},
            {"command", fmt::format("{:.500}", fmt::join(order.command, " "))}});
  const TimePoint begin = clock_.now();
  Result<std::unique_ptr<NodeExec>> exec = nodes_.open_exec(where.node_id, std::move(order));
  // Its node may have left meanwhile.
  if (!exec) exec = std::make_unique<NodeExec>(scope_.executor(), exec_id, exec.error());
  ExecSocket between(scope_.executor(),
                     {.clock = clock_, .socket = **made, .exec = **exec, .allowed = [this, key_id] {
                        return accounts_.keys().contains(key_id);
                      }});
  const Result<NodeExec::End> end = co_await between.run();
  const std::string why = !end ? end.error().message : end->error ? end->error->message : "";
  log_info("exec", "a command has ended",
           {{"exec", exec_id},
            {"code", end ? end->code : -1},
            {"error", why},
            {"seconds", to_seconds(clock_.now() - begin)}});
  co_return Result<>();
}

}  // namespace mesclun::cloud
