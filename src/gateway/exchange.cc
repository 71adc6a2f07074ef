#include "gateway/exchange.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/websocket_splice.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kAnswerTimeout = 10s;  // for the client to take a refusal
// For a node to tell that an application which has ended had read nothing: a round trip or two.
constexpr Duration kHearOfUnread = 1s;

}  // namespace

Exchange::Exchange(Proxy& proxy, std::shared_ptr<ClientConnection> client, HttpReader reader)
    : client_(std::move(client)),
      request_{.proxy = proxy, .client = *client_, .arrived = proxy.clock().now()},
      body_(request_, std::move(reader)),
      reach_(request_),
      answer_(request_, body_) {}

Task<Exchange::End> Exchange::run(std::shared_ptr<Exchange> self) {
  // The client may be silent while its answer is made.
  client_->conn().set_deadline(TimePoint::max());
  MaybeRefusal refusal = prepare();
  // Most requests find a free instance and a stream to it at once, and no step waits.
  if (!refusal && !reach_.at_once()) refusal = co_await reach_.reach();
  bool complete = false;
  if (!refusal) {
    const WhenGone leaving(client_->input(), [this] { on_client_leaving(); });
    refusal = co_await ask(std::move(self));
    if (!refusal && !answer_.is_upgrade()) {
      complete = co_await answer_.relay();
      if (!complete) refusal = answer_.untold();
    }
  }
  if (refusal) co_return co_await refuse(std::move(*refusal));
  if (answer_.is_upgrade()) co_return co_await splice();
  co_return finish(complete);
}

// One that has ended only its own side may be waiting for its answer. Of one that has begun, the next
// bytes tell whether somebody reads them.
void Exchange::on_client_leaving() {
  if (client_->input().half_closed() && answer_.began()) {
    if (request_.client_gone()) return;
    reach_.stream().set_deadline(request_.now() + request_.limits().half_close_timeout);
  } else if (request_.client_gone()) {
    reach_.abort();
  }
}

MaybeRefusal Exchange::prepare() {
  RequestPlan& plan = request_.plan;
  if (request_.limits().path_names) take_path_name(body_.head(), plan);
  if (MaybeRefusal refusal =
          plan_request(body_.head(), body_.framing(), body_.keep_alive(), plan)) {
    return refusal;
  }
  if (MaybeRefusal refusal = find_group()) return refusal;
  request_.proxy.name_request(request_id_of(body_.head()), client_->scratch().request_id);
  const Forwarding forwarding{.client_address = client_->address(),
                              .scheme = client_->scheme(),
                              .trust_client = request_.limits().trust_forwarded,
                              .ask_for_load = request_.group->route().adaptive,
                              .request_id = client_->scratch().request_id};
  std::string& bytes = client_->scratch().request;
  append_request_head(body_.head(), plan, forwarding, bytes);
  return body_.take_early(bytes);
}

MaybeRefusal Exchange::find_group() {
  Proxy& proxy = request_.proxy;
  const std::string& host = request_.plan.host;
  request_.group = proxy.table().find(host);
  if (!request_.group) {
    proxy.count_unknown_host();
    if (!proxy.table().loaded()) return kStarting;
    return Refusal{404, "unknown_host", fmt::format("no application is known as {}", host)};
  }
  ++request_.group->stats.requests;
  request_.group->retry_budget.earn();
  const link::Route& route = request_.group->route();
  if (route.deleted) return Refusal{410, "deleted", "the container group was deleted"};
  if (!route.auth) return std::nullopt;
  const auto key = body_.head().headers.find("Salad-Api-Key");
  if (!key) return Refusal{403, "key_missing", "the header Salad-Api-Key is missing"};
  if (!proxy.table().key_passes(*key, route.organization_id)) {
    return Refusal{403, "key_refused", "the API key is not one of this organization"};
  }
  return std::nullopt;
}

Task<MaybeRefusal> Exchange::ask(std::shared_ptr<Exchange> self) {
  while (true) {
    const MaybeRefusal refusal = co_await ask_here(self);
    if (refusal) {
      if (refusal->status != 502) co_return refusal;
      if (!co_await ask_elsewhere(RetryCause::BrokenOff, outcome_of(*refusal))) co_return refusal;
      continue;
    }
    // The other algorithms pass on what an application says.
    if (answer_.is_upgrade() || !request_.group->route().adaptive) co_return std::nullopt;
    const Outcome outcome = outcome_of(answer_.head());
    if (outcome.kind != Outcome::Kind::Busy) co_return std::nullopt;
    if (!co_await ask_elsewhere(RetryCause::Busy, outcome)) co_return std::nullopt;
  }
}

Task<bool> Exchange::ask_elsewhere(RetryCause cause, Outcome outcome) {
  const RetryFacts facts{.cause = cause,
                         .repeatable = request_.plan.repeatable,
                         .refused = outcome.untouched,
                         .kept = request_.plan.kept,
                         .answered = cause == RetryCause::BrokenOff && answer_.began(),
                         .tries = reach_.tries()};
  if (request_.client_gone() || !may_retry(facts, request_.limits().retry)) co_return false;
  Group& group = *request_.group;
  if (!group.retry_budget.spend()) {
    ++group.stats.retries_denied;
    co_return false;
  }
  request_.seeking = request_.now();
  if (!co_await reach_.move_on(outcome)) co_return false;
  group.stats.count_retry(cause);
  co_return true;
}

Task<MaybeRefusal> Exchange::ask_here(std::shared_ptr<Exchange> self) {
  const std::string& bytes = client_->scratch().request;
  while (true) {
    if (request_.client_gone()) co_return nobody();
    const bool whole = body_.sent();
    link::TunnelStream& stream = reach_.stream();
    stream.set_deadline(request_.now() + (whole ? request_.response_timeout()
                                                : request_.limits().stream_idle_timeout));
    // If this fails there may be an early answer all the same, or an error that says why.
    const asio::const_buffer buffer = asio::buffer(bytes);
    Result<> written;
    if (!stream.write_all_now(std::span(&buffer, 1))) written = co_await stream.write(bytes);
    if (!whole && written) body_.send_rest(stream, self);
    if (!whole && !written) body_.instance_failed();
    MaybeRefusal refusal = co_await answer_.read_head(stream);
    if (!refusal) co_return refusal;
    // The instance closed an idle stream while this request was on its way there. Nothing of an
    // answer came, and the request may be repeated, or nobody has read it.
    const bool closing = reach_.reused() && request_.plan.kept && !answer_.began() &&
                         refusal->status == 502 && !request_.client_gone();
    if (!closing) co_return refusal;
    if (!request_.plan.repeatable && !co_await stream.is_unread(kHearOfUnread)) co_return refusal;
    request_.group->stats.count_retry(RetryCause::Closed);
    if (MaybeRefusal unreachable = co_await reach_.reopen()) co_return unreachable;
  }
}

Task<Exchange::End> Exchange::refuse(Refusal refusal) {
  reach_.set_outcome(outcome_of(refusal));
  body_.stop();
  settle(refusal.status, refusal.status != 0 ? refusal.reason : "");
  reach_.leave(InstanceReach::Leaving::Abort);
  if (refusal.status == 0 || request_.client_gone()) co_return End::Leave;
  const RequestPlan& plan = request_.plan;
  log_debug("gateway", "refused",
            {{"host", plan.host}, {"status", refusal.status}, {"detail", refusal.detail}});
  RefusalForm form{.html = plan.wants_html, .to_head = plan.to_head};
  form.request_id = client_->scratch().request_id;
  form.keep_alive = plan.keep_alive && body_.is_used_up() && !request_.proxy.stopping();
  const std::string text = render(refusal, form);
  client_->conn().set_deadline(request_.now() + kAnswerTimeout);
  if (!co_await client_->conn().write(text)) co_return End::Leave;
  co_return form.keep_alive ? End::KeepAlive : End::LeaveSlowly;
}

Task<Exchange::End> Exchange::splice() {
  WebSocketSplice websocket(request_, reach_.stream());
  co_await websocket.run(answer_.upgrade_bytes());
  settle(101, "");
  reach_.leave(InstanceReach::Leaving::Abort);
  co_return End::Leave;
}

void Exchange::settle(int status, std::string_view reason) {
  request_.bytes_in += body_.bytes();
  const TimePoint now = request_.now();
  const auto between = [](TimePoint from, TimePoint to) {
    return from == TimePoint() || to == TimePoint() ? Duration() : to - from;
  };
  AccessEntry entry{.status = status,
                    .reason = reason,
                    .bytes_in = request_.bytes_in,
                    .bytes_out = request_.bytes_out,
                    .wait = between(request_.seeking, request_.placed),
                    .connect = between(request_.placed, request_.connected),
                    .first_byte = between(request_.connected, request_.answered),
                    .total = now - request_.arrived};
  if (request_.group) request_.group->stats.count(entry);
  AccessLog* log = request_.proxy.access_log();
  if (log == nullptr) return;
  entry.time = request_.proxy.clock().wall_now() -
               std::chrono::duration_cast<WallTime::duration>(entry.total);
  entry.id = client_->scratch().request_id;
  entry.client = client_->address();
  entry.host = request_.plan.host;
  entry.method = body_.head().method;
  entry.target = body_.head().target;
  entry.tries = reach_.tries();
  if (const Instance* instance = reach_.instance()) {
    entry.instance = instance->id;
    entry.machine = instance->node->id;
  }
  log->add(entry);
}

Exchange::End Exchange::finish(bool complete) {
  using enum InstanceReach::Leaving;
  const bool sent = body_.sent();
  body_.stop();
  settle(answer_.head().status, "");
  if (complete) {
    reach_.set_outcome(outcome_of(answer_.head()));
  } else if (!request_.client_gone()) {
    reach_.set_outcome({.kind = Outcome::Kind::Failed});
  }
  reach_.leave(!complete || !sent ? Abort : answer_.stream_stays() ? Keep : Close);
  if (!complete) {
    // The client must not take what it has for the whole.
    client_->conn().abort();
    return End::Leave;
  }
  if (!sent) return End::LeaveSlowly;
  return answer_.client_stays() ? End::KeepAlive : End::Leave;
}

}  // namespace mesclun::gateway
