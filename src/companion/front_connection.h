// One connection of a caller: its requests one after the other.
#pragma once

#include <string>
#include <vector>

#include "companion/app_exchange.h"
#include "companion/forward.h"
#include "companion/front.h"
#include "companion/status_pages.h"
#include "companion/work_meter.h"
#include "http/parser.h"

namespace mesclun::companion {

// Runs on:  the front's loop. While a request waits or is at work the caller is watched: when it
//           closes the connection, or its own side of it, the request is dropped.
class FrontConnection {
 public:
  FrontConnection(ConnPtr conn, Front& front, const StatusPages& pages);
  Task<Result<>> run();

 private:
  // What the current request is.
  struct Request {
    RequestHead head;
    bool keep_alive = false;
    bool has_body = false;  // its framing says one, perhaps of 0 bytes
    CallerWish wish;
    TimePoint deadline{};
    std::string body;

    std::string_view path() const;
    bool to_head() const { return head.method == "HEAD"; }
  };
  // Gives the front its bytes back.
  struct BodyReservation {
    Front& front;
    uint64_t bytes = 0;
    ~BodyReservation() { front.release_bytes(bytes); }
  };
  enum class Next { KeepAlive, Close, Linger, Gone };

  Task<Result<bool>> fill();
  Task<Result<bool>> is_http2();
  Task<Result<bool>> read_head();
  Task<Next> serve_request();
  // Nothing: the body is there.
  Task<std::optional<Refusal>> read_body(BodyReservation& reserved);
  Task<Next> queue_request();
  Task<Next> direct_request();
  Task<Next> upgrade();
  std::optional<Refusal> prepare_batched(Ticket& ticket) const;
  bool is_batched() const;
  bool is_direct() const;

  // Until the ticket has changed, or `when`, or its deadline. False: cancelled.
  Task<bool> wait_until(Ticket& ticket, TimePoint when);
  // Waits for the turn, and for an unbatched request does all of it, up to the end of the answer.
  Task<void> wait_and_serve(TicketPtr ticket, Next& next);
  Task<void> serve_granted(Ticket* ticket, Next& next);
  Task<Next> relay(AppExchange& exchange, std::optional<double>& work);
  Task<Next> send_item(ItemAnswer answer);
  Task<void> watch_caller(bool& gone);

  // A refusal; the rest of an unread body makes the connection useless.
  Task<Next> refuse(Refusal refusal, bool body_unread);
  Task<Next> send(std::string bytes, int status, Next after);
  Task<void> linger();

  ConnPtr conn_;
  Front& front_;
  const StatusPages& pages_;
  Clock& clock_;
  const Config& config_;
  std::string input_;  // read, and not yet used
  HttpParser parser_;
  Request request_;
};

}  // namespace mesclun::companion
