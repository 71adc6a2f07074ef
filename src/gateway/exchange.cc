#include "gateway/exchange.h"

#include "base/log.h"

namespace mesclun::gateway {

namespace {

constexpr Duration kAnswerTimeout = 10s;  // for the client to take a refusal

}  // namespace

Exchange::Exchange(Proxy& proxy, std::shared_ptr<ClientConnection> client, HttpParser request)
    : proxy_(proxy),
      client_(std::move(client)),
      request_(std::move(request)),
      arrived_(proxy.clock().now()),
      request_bytes_(client_->scratch().request),
      answer_(client_->scratch().answer),
      spare_(client_->scratch().spare),
      head_out_(client_->scratch().head_out),
      end_out_(client_->scratch().end_out),
      pieces_(client_->scratch().pieces),
      buffers_(client_->scratch().buffers) {}

Task<Exchange::End> Exchange::run(std::shared_ptr<Exchange> self) {
  // The client may be silent while its answer is made.
  client_->conn().set_deadline(TimePoint::max());
  RequestHead& head = request_.request_head();
  MaybeRefusal refusal = plan_request(head, request_.framing(), request_.keep_alive(), plan_);
  if (!refusal) {
    const Forwarding forwarding{.client_address = client_->address(),
                                .trust_client = proxy_.limits().trust_forwarded};
    append_request_head(head, plan_, forwarding, request_bytes_);
    refusal = take_early_body();
  }
  if (!refusal) refusal = find_group();
  if (!refusal) refusal = co_await send_until_answered(self);
  if (refusal) co_return co_await refuse(std::move(*refusal));
  if (response_->response_head().status == 101) co_return co_await splice(self);
  co_return co_await relay_answer();
}

Exchange::MaybeRefusal Exchange::find_group() {
  group_ = proxy_.table().find(plan_.host);
  if (!group_) {
    proxy_.count_unknown_host();
    if (!proxy_.table().loaded()) {
      return Refusal{503, "starting", "the gateway has not heard from the cloud yet"};
    }
    return Refusal{404, "unknown_host", fmt::format("no application is known as {}", plan_.host)};
  }
  ++group_->stats.requests;
  const link::Route& route = group_->route();
  if (route.deleted) return Refusal{410, "deleted", "the container group was deleted"};
  if (!route.auth) return std::nullopt;
  const auto key = request_.request_head().headers.find("Salad-Api-Key");
  if (!key) return Refusal{403, "key_missing", "the header Salad-Api-Key is missing"};
  if (!proxy_.table().key_passes(*key, route.organization_id)) {
    return Refusal{403, "key_refused", "the API key is not one of this organization"};
  }
  return std::nullopt;
}

Task<Exchange::MaybeRefusal> Exchange::send_until_answered(std::shared_ptr<Exchange> self) {
  // Most requests find a free instance and a stream to it at once, and no step waits.
  if (!reach_at_once()) {
    if (MaybeRefusal refusal = co_await reach_instance()) co_return refusal;
  }
  while (true) {
    if (client_gone()) co_return nobody();
    if (body_ == BodyState::Sent) group_->stats.bytes_in += body_bytes_;
    client_->input().on_gone = [this] { stream_->abort(); };
    const bool whole = body_ == BodyState::Sent;
    stream_->set_deadline(now() +
                          (whole ? response_timeout() : proxy_.limits().stream_idle_timeout));
    // If this fails there may be an early answer all the same, or an error that says why.
    const asio::const_buffer bytes = asio::buffer(request_bytes_);
    Result<> sent;
    if (!stream_->write_all_now(std::span(&bytes, 1))) {
      sent = co_await stream_->write(request_bytes_);
    }
    if (!whole && sent) {
      body_started_ = now();
      client_->input().bulk = true;
      proxy_.scope().spawn(send_body(self));
    } else if (!whole) {
      body_ = BodyState::UpstreamFailed;
    }
    MaybeRefusal refusal = co_await read_answer_head();
    if (!refusal) co_return refusal;
    // The instance closed an idle stream while this request was on its way there. Nothing of an
    // answer came, and the request may be repeated.
    const bool again = reused_ && !answer_began_ && whole && plan_.repeatable &&
                       refusal->status == 502 && !client_gone();
    if (!again) co_return refusal;
    ++group_->stats.retries;
    if (MaybeRefusal unreachable = co_await open_stream()) co_return unreachable;
  }
}

Task<Exchange::End> Exchange::refuse(Refusal refusal) {
  client_->input().on_gone = nullptr;
  if (stream_) stream_->abort();
  slot_.reset();
  if (group_) {
    group_->stats.count_answer(refusal.status);
    if (refusal.status != 0) ++group_->stats.refusals[std::string(refusal.reason)];
  }
  const bool whole = body_ == BodyState::Sent || request_.body_done();
  if (body_ == BodyState::Sending) {
    body_ = BodyState::Stopped;
    client_->input().interrupt();
  }
  if (refusal.status == 0 || client_gone()) co_return End::Leave;
  log_debug("gateway", "refused",
            {{"host", plan_.host}, {"status", refusal.status}, {"detail", refusal.detail}});
  RefusalForm form{.html = plan_.wants_html, .to_head = plan_.to_head};
  form.keep_alive = plan_.keep_alive && whole && !proxy_.stopping();
  const std::string text = render(refusal, form);
  client_->conn().set_deadline(now() + kAnswerTimeout);
  if (!co_await client_->conn().write(text)) co_return End::Leave;
  co_return form.keep_alive ? End::KeepAlive : End::LeaveSlowly;
}

}  // namespace mesclun::gateway
