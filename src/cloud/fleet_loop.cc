#include "cloud/fleet_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "cloud/fleet_reconcile.h"
#include "cloud/fleet_store.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kWaitingMax = 10'000;
// A turn takes no more commands once it has so many allocations to change: about 10 ms of the loop,
// and a commit of 50 ms, after which everybody else is heard.
constexpr size_t kCommandsOfTurnMax = 256;
constexpr size_t kAllocationsOfTurnMax = 1'000;
constexpr Duration kReloadWaitMax = 5s;
// At about 300 bytes an event this keeps the table below 100 MB.
constexpr int64_t kEventsKept = 300'000;
constexpr int64_t kEventsBetweenPrunes = 10'000;

}  // namespace

Task<Result<>> FleetLoop::load() {
  auto snapshot = std::make_shared<FleetSnapshot>();
  const int64_t wall = to_unix_nanos(clock_.wall_now());
  store::Body body = [snapshot, wall](store::Transaction& tx) -> Result<> {
    TRY(*snapshot, load_fleet(tx, wall));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  fleet_.restore(std::move(*snapshot), now());
  co_return Result<>();
}

Task<Result<>> FleetLoop::submit(Command command) {
  if (waiting_.size() >= kWaitingMax) {
    co_return Error{ErrorCode::ResourceExhausted, "the control plane is overloaded; try again"};
  }
  const auto pending = std::make_shared<Pending>(std::move(command), arrived_.executor());
  waiting_.push_back(pending);
  arrived_.notify_all();
  while (!pending->answered) CO_TRY_DO(co_await pending->changed.wait());
  co_return pending->result;
}

Task<Result<>> FleetLoop::settled() {
  while (ahead_) {
    ++settling_;
    const Result<> woken = co_await settled_.wait();
    --settling_;
    CO_TRY_DO(woken);
  }
  co_return Result<>();
}

Task<Result<>> FleetLoop::run() {
  while (true) {
    CO_TRY_DO(co_await turn());
    // Work that goes on in the next turn lets everybody else come first.
    co_await asio::post(arrived_.executor(), asio::use_awaitable);
    if (co_await cancel_requested()) co_return Error::cancelled();
  }
}

Task<Result<>> FleetLoop::listen() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(listening_.period()));
    listening_.tick(clock_.now());
    if (fleet_.nodes.first_silence() <= listening_.counted()) arrived_.notify_all();
  }
}

std::vector<std::shared_ptr<FleetLoop::Pending>> FleetLoop::decide() noexcept {
  std::vector<std::shared_ptr<Pending>> taken;
  const Moment heard = now();
  while (!waiting_.empty() && taken.size() < kCommandsOfTurnMax &&
         allocations_touched(fleet_) < kAllocationsOfTurnMax) {
    const std::shared_ptr<Pending> pending = std::move(waiting_.front());
    waiting_.pop_front();
    pending->result = pending->command(fleet_, heard);
    taken.push_back(pending);
  }
  reconcile(fleet_, counted());
  return taken;
}

Task<Result<>> FleetLoop::turn() {
  while (waiting_.empty() && !std::exchange(failed_, false)) {
    const std::optional<Duration> idle = idle_time(fleet_, counted());
    if (idle == Duration::zero()) break;
    // Silence is told by listen(), in its own time.
    const TimePoint until = idle ? clock_.now() + *idle : TimePoint::max();
    CO_TRY_DO(co_await arrived_.wait_until(clock_, until));
  }
  ahead_ = true;
  const std::vector<std::shared_ptr<Pending>> taken = decide();
  const auto changes = std::make_shared<const FleetChanges>(fleet_.take_changes());
  const Result<> stored = co_await commit(changes);
  if (!stored && stored.code() == ErrorCode::Cancelled) co_return stored;
  for (const auto& pending : taken) {
    if (!stored && pending->result) pending->result = stored;
    pending->answered = true;
    pending->changed.notify_all();
  }
  failed_ = !stored;
  if (stored) tell(*changes);
  ahead_ = false;
  if (settling_ > 0) {
    settled_.notify_all();
    // They run before the next turn begins.
    co_await asio::post(settled_.executor(), asio::use_awaitable);
  }
  co_return Result<>();
}

// After a failure memory is ahead of the store; the store is the truth, so it is read again.
Task<Result<>> FleetLoop::commit(std::shared_ptr<const FleetChanges> changes) {
  if (!changes->has_rows()) co_return Result<>();
  const bool prunes = events_since_prune_ >= kEventsBetweenPrunes;
  const int64_t wall = to_unix_nanos(clock_.wall_now());
  store::Body body = [changes, prunes, wall](store::Transaction& tx) -> Result<> {
    TRY_DO(save_fleet(tx, *changes));
    if (prunes) TRY_DO(prune(tx, kEventsKept, wall));
    return {};
  };
  const Result<> stored = co_await database_.write(std::move(body));
  if (stored) {
    events_since_prune_ = (prunes ? 0 : events_since_prune_) + std::ssize(changes->events);
    co_return stored;
  }
  log_error("fleet", "cannot store changes; nothing of them was answered",
            {{"error", to_string(stored.error())}});
  Error error = stored.error();
  error.code = ErrorCode::Unavailable;
  for (Duration wait = 50ms;; wait = std::min(wait * 2, kReloadWaitMax)) {
    if (const Result<> loaded = co_await load(); loaded) break;
    CO_TRY_DO(co_await clock_.sleep_for(wait));
  }
  co_return error;
}

void FleetLoop::tell(const FleetChanges& changes) {
  for (const std::string& id : changes.desired) {
    const Node* node = fleet_.nodes.find(id);
    if (node == nullptr || !node->online()) continue;
    // From the wall clock, so that it grows over restarts too.
    last_revision_ = std::max(last_revision_ + 1, to_unix_nanos(clock_.wall_now()));
    fleet_.nodes.touch(id, [this](Node::Live& live) { live.revision = last_revision_; });
    listener_.send_desired(id, node->live.session, desired_of(fleet_, id, last_revision_));
  }
  for (const auto& [id, node] : changes.nodes) {
    const int64_t session = node.live.session;
    if (session != 0) listener_.acknowledge(id, session, node.acknowledged);
  }
  std::set<std::string> hosts = changes.free_hosts;
  for (const std::string& id : changes.routes) {
    const Group* group = fleet_.groups.find(id);
    if (group != nullptr && !group->dns.empty()) hosts.insert(group->dns);
  }
  if (!hosts.empty()) listener_.publish(hosts);
  std::set<std::string> with_events;
  for (const Event& event : changes.events) with_events.insert(event.group_id);
  if (!with_events.empty()) listener_.events_added(with_events);
}

}  // namespace mesclun::cloud
