// The part of an Exchange that finds an instance and opens a stream to it.
#include "gateway/exchange.h"

#include <fmt/format.h>

namespace mesclun::gateway {

namespace {

Refusal no_instance(const Group& group) {
  size_t ready = 0;
  for (const InstancePtr& instance : group.instances()) ready += instance->ready ? 1 : 0;
  if (group.instances().empty()) return {503, "no_instance", "no instance is running"};
  if (ready == 0) {
    return {503, "no_ready_instance",
            fmt::format("none of {} instances is ready", group.instances().size())};
  }
  return {503, "no_tunnel",
          fmt::format("{} instances are ready, but their nodes are not connected", ready)};
}

Refusal connect_refusal(const Error& error) {
  if (error.code == ErrorCode::DeadlineExceeded) {
    return {504, "connect_timeout", "the instance took no connection in time"};
  }
  return {502, error.cause == Cause::Refused ? "refused" : "unreachable", error.message};
}

}  // namespace

bool Exchange::reach_at_once() {
  Group::Admission admission = group_->admit();
  if (!admission.slot) return false;
  slot_.emplace(std::move(*admission.slot));
  return take_idle_stream();
}

// One that may be closed by the other side at any moment, unless the request may be repeated.
bool Exchange::take_idle_stream() {
  const bool repeatable = plan_.repeatable && body_ == BodyState::Sent;
  stream_ = slot_->instance().pool.take(proxy_.limits().pool, now(), repeatable);
  reused_ = stream_ != nullptr;
  return reused_;
}

Task<Exchange::MaybeRefusal> Exchange::reach_instance() {
  MaybeRefusal last;
  while (true) {
    if (!slot_) {
      if (MaybeRefusal refusal = co_await admit()) co_return last ? last : refusal;
    }
    if (take_idle_stream()) co_return std::nullopt;
    last = co_await open_stream();
    if (!last) co_return std::nullopt;
    // Nothing was delivered: another instance may take it, without the client hearing of this one.
    tried_.push_back(slot_->instance().id);
    slot_.reset();
    if (client_gone()) co_return nobody();
    if (tried_.size() >= proxy_.limits().connect_tries_max || now() >= send_deadline()) {
      co_return last;
    }
    ++group_->stats.retries;
  }
}

Task<Exchange::MaybeRefusal> Exchange::admit() {
  Group::Admission admission = group_->admit(tried_);
  switch (admission.verdict) {
    case BalanceResult::Verdict::Chosen:
      slot_.emplace(std::move(*admission.slot));
      break;
    case BalanceResult::Verdict::AllBusy:
      co_return co_await wait_for_slot();
    case BalanceResult::Verdict::NoneEligible:
      co_return no_instance(*group_);
  }
  co_return std::nullopt;
}

Task<Exchange::MaybeRefusal> Exchange::wait_for_slot() {
  Waiter waiter(proxy_.scope().executor(), group_);
  if (!group_->wait(waiter)) {
    co_return Refusal{503, "queue_full",
                      fmt::format("{} requests wait already", Group::kWaitingMax)};
  }
  const TimePoint deadline = send_deadline();
  client_->input().on_gone = [&waiter] { waiter.changed.notify_all(); };
  MaybeRefusal refusal;
  while (!waiter.granted && !refusal) {
    if (client_gone()) {
      refusal = nobody();
    } else if (group_->route().deleted) {
      refusal = Refusal{410, "deleted", "the container group was deleted"};
    } else if (now() >= deadline) {
      refusal = Refusal{504, "request_timeout",
                        fmt::format("no instance was free within {} ms",
                                    group_->route().client_request_timeout_ms)};
    } else if (!co_await waiter.changed.wait_until(proxy_.clock(), deadline)) {
      refusal = nobody();
    }
  }
  client_->input().on_gone = nullptr;
  if (!refusal) slot_.emplace(std::move(*waiter.granted));
  co_return refusal;
}

Task<Exchange::MaybeRefusal> Exchange::open_stream() {
  Instance& instance = slot_->instance();
  reused_ = false;
  // Held, because a node that dials anew may drop it meanwhile.
  const std::shared_ptr<link::Tunnel> tunnel = instance.node->tunnel();
  if (!tunnel) co_return Refusal{502, "unreachable", "the node of the instance has gone"};
  link::TunnelTarget target{.instance_id = instance.id,
                            .port = static_cast<uint16_t>(group_->route().port)};
  const Duration limit = std::min(proxy_.limits().connect_timeout, send_deadline() - now());
  ++group_->stats.connects;
  Result<link::TunnelStreamPtr> stream = co_await tunnel->open(std::move(target), limit);
  if (!stream) {
    if (stream.code() == ErrorCode::Cancelled) co_return nobody();
    co_return connect_refusal(stream.error());
  }
  stream_ = std::move(*stream);
  co_return std::nullopt;
}

}  // namespace mesclun::gateway
