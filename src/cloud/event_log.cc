#include "cloud/event_log.h"

#include "base/log.h"
#include "cloud/fleet_store.h"

namespace mesclun::cloud {

namespace {

constexpr int64_t kAtOnceMax = 500;
constexpr Duration kTryAgain = 5s;
// Events that come one after the other are copied together.
constexpr Duration kBetween = 50ms;

}  // namespace

Task<Result<>> EventLog::run() {
  std::optional<int64_t> cursor;
  while (true) {
    while (!news_) CO_TRY_DO(co_await added_.wait());
    news_ = false;
    Result<> copied;
    if (!cursor) {
      auto loaded = std::make_shared<int64_t>(0);
      store::Body body = [loaded](store::Transaction& tx) -> Result<> {
        TRY(*loaded, load_event_cursor(tx));
        return {};
      };
      copied = co_await logs_.database().read(std::move(body));
      if (copied) cursor = *loaded;
    }
    if (cursor) copied = co_await copy(*cursor);
    if (!copied && copied.code() == ErrorCode::Cancelled) co_return copied;
    if (!copied) {
      log_warning("logs", "system events cannot be brought into the log",
                  {{"error", to_string(copied.error())}});
      news_ = true;
    }
    CO_TRY_DO(co_await clock_.sleep_for(copied ? kBetween : kTryAgain));
  }
}

Task<Result<>> EventLog::copy(int64_t& cursor) {
  auto events = std::make_shared<std::vector<Event>>();
  store::Body load = [events, from = cursor](store::Transaction& tx) -> Result<> {
    TRY(*events, load_all_events(tx, from, kAtOnceMax));
    return {};
  };
  CO_TRY_DO(co_await fleet_database_.read(std::move(load)));
  if (events->empty()) co_return Result<>();
  if (std::ssize(*events) == kAtOnceMax) news_ = true;
  auto owned = std::make_shared<std::vector<OwnedEvent>>();
  for (const Event& event : *events) {
    const Group* group = fleet_.groups.find(event.group_id);
    if (group == nullptr) continue;
    owned->push_back({.owner = {group->organization_id, group->project_name, group->spec.name},
                      .resource_type = event.resource_type,
                      .group_id = event.group_id,
                      .instance_id = event.instance_id,
                      .machine_id = event.machine_id,
                      .version = event.version,
                      .time = event.time,
                      .name = event.event_name});
  }
  const int64_t newest = events->back().sequence;
  const int64_t now = to_unix_nanos(clock_.wall_now());
  const int64_t retention = logs_.settings().retention.count();
  store::Body save = [=](store::Transaction& tx) {
    return insert_events(tx, *owned, newest, now, retention);
  };
  CO_TRY_DO(co_await logs_.database().write(std::move(save)));
  cursor = newest;
  co_return Result<>();
}

}  // namespace mesclun::cloud
