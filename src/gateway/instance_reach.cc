#include "gateway/instance_reach.h"

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
  if (error.code == ErrorCode::Cancelled) return nobody();
  if (error.code == ErrorCode::DeadlineExceeded) {
    return {504, "connect_timeout", "the instance took no connection in time"};
  }
  if (error.code == ErrorCode::ResourceExhausted) {
    return {503, "streams_exhausted", "the node of the instance has all the streams it takes"};
  }
  return {502, error.cause == Cause::Refused ? "refused" : "unreachable", error.message};
}

}  // namespace

void InstanceReach::place(InFlight slot) {
  slot_.emplace(std::move(slot));
  request_.placed = request_.now();
}

bool InstanceReach::at_once() {
  Group::Admission admission = request_.group->admit();
  if (!admission.slot) return false;
  place(std::move(*admission.slot));
  return take_idle_stream();
}

link::TunnelStreamPtr InstanceReach::idle_stream_of(const InFlight& slot) {
  return slot.instance().pool.take(request_.limits().pool, request_.now(),
                                   request_.plan.repeatable);
}

// One that may be closed by the other side at any moment: not for what is sent in pieces, which are
// not kept for another try.
bool InstanceReach::take_idle_stream() {
  if (!request_.plan.kept) return false;
  stream_ = idle_stream_of(*slot_);
  reused_ = stream_ != nullptr;
  if (reused_) request_.connected = request_.placed;
  return reused_;
}

Task<MaybeRefusal> InstanceReach::reach() {
  MaybeRefusal last;
  while (true) {
    if (!slot_) {
      if (MaybeRefusal refusal = co_await admit()) co_return last ? last : refusal;
    }
    if (take_idle_stream()) co_return std::nullopt;
    last = co_await reopen();
    if (!last) co_return std::nullopt;
    // Nothing was delivered: another instance may take it, without the client hearing of this one.
    tried_.push_back(slot_->instance().id);
    slot_->set_outcome(outcome_of(*last));
    slot_.reset();
    if (request_.client_gone()) co_return nobody();
    if (tried_.size() >= request_.limits().retry.tries_max ||
        request_.now() >= request_.send_deadline()) {
      co_return last;
    }
    request_.group->stats.count_retry(RetryCause::Unconnected);
  }
}

Task<MaybeRefusal> InstanceReach::admit() {
  Group::Admission admission = request_.group->admit(tried_);
  switch (admission.verdict) {
    case BalanceResult::Verdict::Chosen:
      place(std::move(*admission.slot));
      break;
    case BalanceResult::Verdict::AllBusy:
      co_return co_await wait_for_slot();
    case BalanceResult::Verdict::NoneEligible:
      co_return no_instance(*request_.group);
  }
  co_return std::nullopt;
}

Task<MaybeRefusal> InstanceReach::wait_for_slot() {
  Group& group = *request_.group;
  Waiter waiter(request_.proxy.scope().executor(), request_.group, tried_);
  if (!group.wait(waiter)) {
    co_return Refusal{503, "queue_full",
                      fmt::format("{} requests wait already", Group::kWaitingMax)};
  }
  const TimePoint deadline = request_.send_deadline();
  const WhenGone wake(request_.client.input(), [&waiter] { waiter.changed.notify_all(); });
  while (!waiter.granted) {
    // In the line, who ends its side has most likely left: others wait behind it.
    if (request_.client_gone() || request_.client.input().half_closed()) co_return nobody();
    if (group.route().deleted) {
      co_return Refusal{410, "deleted", "the container group was deleted"};
    }
    if (request_.now() >= deadline) {
      co_return Refusal{504, "request_timeout",
                        fmt::format("no instance was free within {} ms",
                                    group.route().client_request_timeout_ms)};
    }
    if (!co_await waiter.changed.wait_until(request_.proxy.clock(), deadline)) co_return nobody();
  }
  place(std::move(*waiter.granted));
  co_return std::nullopt;
}

Task<MaybeRefusal> InstanceReach::reopen() {
  reused_ = false;
  co_return co_await open(*slot_, stream_);
}

Task<MaybeRefusal> InstanceReach::open(const InFlight& slot, link::TunnelStreamPtr& stream) {
  Instance& instance = slot.instance();
  // Held, because a node that dials anew may drop it meanwhile.
  const std::shared_ptr<link::Tunnel> tunnel = instance.node->tunnel();
  if (!tunnel) co_return Refusal{502, "unreachable", "the node of the instance has gone"};
  link::TunnelTarget target{.instance_id = instance.id,
                            .port = static_cast<uint16_t>(instance.port)};
  const TimePoint before = request_.now();
  const Duration limit =
      std::min(request_.limits().connect_timeout, request_.send_deadline() - before);
  ++request_.group->stats.connects;
  Result<link::TunnelStreamPtr> opened = co_await tunnel->open(std::move(target), limit);
  if (!opened) co_return connect_refusal(opened.error());
  request_.connected = request_.now();
  if (instance.standing) instance.standing->note_reach(request_.connected - before);
  stream = std::move(*opened);
  co_return std::nullopt;
}

Task<bool> InstanceReach::move_on(Outcome outcome) {
  std::vector<std::string> met = tried_;
  met.push_back(slot_->instance().id);
  Group::Admission admission = request_.group->admit(met);
  if (!admission.slot) co_return false;
  link::TunnelStreamPtr stream = idle_stream_of(*admission.slot);
  const bool reused = stream != nullptr;
  if (!reused) {
    if (const MaybeRefusal refusal = co_await open(*admission.slot, stream)) {
      admission.slot->set_outcome(outcome_of(*refusal));
      co_return false;
    }
  }
  tried_ = std::move(met);
  slot_->set_outcome(outcome);
  stream_->abort();
  // In this order: the place that becomes free may be another request's at once.
  stream_ = std::move(stream);
  reused_ = reused;
  // What connecting took is part of the new wait.
  place(*std::move(admission.slot));
  request_.connected = request_.placed;
  request_.answered = {};
  co_return true;
}

void InstanceReach::leave(Leaving how) {
  if (!stream_) {
    slot_.reset();
    return;
  }
  if (how == Leaving::Keep && stream_->is_clean()) {
    slot_->instance().pool.put(request_.limits().pool, request_.now(), std::move(stream_));
  } else if (how == Leaving::Abort) {
    stream_->abort();
  } else {
    stream_->close();
  }
  slot_.reset();
}

}  // namespace mesclun::gateway
