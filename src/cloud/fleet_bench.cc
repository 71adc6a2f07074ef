// How long the cloud's loop stands still at a large fleet: 8,000 nodes in memory, on real time. What
// is measured is the longest pause, in which nobody is heard; not how fast it all is. And what groups
// of before cost a new one.
#include <benchmark/benchmark.h>

#include <sys/resource.h>

#include <boost/asio/io_context.hpp>

#include "api/gpu_class.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/real_clock.h"
#include "cloud/cloud.h"
#include "cloud/fleet_groups.h"
#include "cloud/schema.h"

namespace mesclun::cloud {
namespace {

constexpr size_t kNodes = 8'000;
constexpr int kGroups = 38;
constexpr int32_t kReplicas = 500;
constexpr size_t kInstances = size_t{kGroups} * kReplicas;
constexpr Duration kLimit = 10min;

double millis(Duration duration) {
  return to_seconds(duration) * 1e3;
}

// Of this thread.
Duration cpu_time() {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  const auto length = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return length(used.ru_utime) + length(used.ru_stime);
}

class World {
 public:
  explicit World(size_t nodes = kNodes, int64_t tombstones = 0) {
    if (tombstones > 0) run(bury(tombstones));
    CloudSettings settings;
    settings.nodes.join_token = "join";
    settings.nodes.tunnel_secret = "tunnel";
    settings.nodes.strangers = {.all = kNodes, .of_address = kNodes};  // all come at once
    cloud_ =
        std::make_unique<Cloud>(io_.get_executor(), clock_, random_, *database_, *logs_, settings);
    run(cloud_->start());
    scope_.spawn(watch());
    for (size_t i = 0; i < nodes; ++i) connect();
    until([this, nodes] { return cloud_->fleet().nodes.offered().size() == nodes; });
    longest_ = longest_work_ = {};
  }
  ~World() {
    run(end());
    scope_.cancel();
    until([this] { return scope_.running() == 0; });
    cloud_.reset();
  }

  TimePoint now() const { return clock_.now(); }
  // The most work between two moments in which everybody was heard: a pause on a machine that has
  // nothing else to do.
  Duration longest_work() const { return longest_work_; }
  // The longest time in which the loop did nothing else, since the last call.
  Duration take_longest_pause() {
    io_.run_for(10ms);  // one that has just ended is seen at its end
    return std::exchange(longest_, {});
  }
  void create_groups() {
    for (int i = 0; i < kGroups; ++i) scope_.spawn(create(i));
  }
  size_t placed() const {
    size_t count = 0;
    for (const auto& [id, group] : cloud_->fleet().groups.all()) {
      const GroupTally& tally = cloud_->fleet().allocations.tally(id);
      count += static_cast<size_t>(tally.counted - tally.allocating);
    }
    return count;
  }
  size_t running() const {
    size_t count = 0;
    for (const auto& [id, group] : cloud_->fleet().groups.all()) {
      count += static_cast<size_t>(cloud_->fleet().allocations.tally(id).running);
    }
    return count;
  }
  // Whose sessions broke although they were well.
  size_t lost() const { return ended_; }
  void disconnect_all() {
    ending_ = true;
    for (link::Session* session : sessions_) session->close();
  }
  size_t offered() const { return cloud_->fleet().nodes.offered().size(); }
  void ask() { run(ask_once()); }
  void create_and_delete(int number) { run(create_and_delete_one(number)); }
  void until(const std::function<bool()>& done) {
    const TimePoint end = clock_.now() + kLimit;
    while (!done() && clock_.now() < end) io_.run_one_for(10ms);
    if (!done()) std::abort();
  }

 private:
  void run(Task<Result<>> task) {
    bool done = false;
    scope_.spawn(note_end(std::move(task), done));
    until([&] { return done; });
  }
  static Task<Result<>> note_end(Task<Result<>> task, bool& done) {
    const Result<> result = co_await std::move(task);
    done = true;
    co_return result;
  }
  Task<Result<>> watch() {
    constexpr Duration kEvery = 1ms;
    while (true) {
      const TimePoint before = clock_.now();
      const Duration worked = cpu_time();
      CO_TRY_DO(co_await clock_.sleep_for(kEvery));
      longest_ = std::max(longest_, clock_.now() - before - kEvery);
      longest_work_ = std::max(longest_work_, cpu_time() - worked);
    }
  }
  void connect() {
    auto [ours, theirs] = link::memory_session_pair(io_.get_executor(), clock_);
    cloud_->serve_agent(std::move(theirs));
    sessions_.push_back(ours.get());
    nodes_.spawn(live(std::move(ours), new_uuid(random_)));
  }
  // An agent whose instances run as soon as it hears of them.
  Task<Result<>> live(link::SessionPtr session, std::string id) {
    link::Hello hello{.machine_id = id, .node_secret = "a secret of " + id, .join_token = "join"};
    hello.facts.cpu = 16;
    hello.facts.memory_mb = 65'536;
    hello.facts.storage_mb = 500'000;
    link::Message first = std::move(hello);
    CO_TRY_DO(session->send(first));
    while (true) {
      Result<link::Message> said = co_await session->receive_within(5s);
      link::Message answer = link::Heartbeat{};
      if (!said && said.code() != ErrorCode::DeadlineExceeded) break;
      if (said && std::holds_alternative<link::Welcome>(*said)) answer = link::Report{};
      if (said && std::holds_alternative<link::Desired>(*said)) {
        answer = report_of(std::get<link::Desired>(*said));
      } else if (said && !std::holds_alternative<link::Welcome>(*said)) {
        continue;
      }
      if (!session->send(answer)) break;
    }
    if (!ending_) ++ended_;
    co_return Result<>();
  }
  static link::Report report_of(const link::Desired& desired) {
    link::Report report{.revision = desired.revision};
    for (const link::Assignment& told : desired.assignments) {
      link::InstanceReport& instance = report.instances.emplace_back();
      instance.allocation_id = told.allocation_id;
      instance.status = {.instance_id = told.instance_id,
                         .version = told.wish.version,
                         .run = told.wish.run,
                         .state = link::RunState::Running,
                         .started = true,
                         .ready = true};
    }
    return report;
  }
  static api::GroupSpec spec_of(const std::string& name) {
    json::object document{{"name", name}, {"autostart_policy", true}, {"replicas", kReplicas}};
    document["container"] = {{"image", "i"}, {"resources", {{"cpu", 1}, {"memory", 1024}}}};
    return api::read_group_spec(document, api::known_gpu_classes()).value();
  }
  // Groups that were deleted a moment ago.
  Task<Result<>> bury(int64_t count) {
    store::Body rows = [count, now = to_unix_nanos(clock_.wall_now())](store::Transaction& tx) {
      Result<> inserted;
      for (int64_t i = 0; i < count && inserted; ++i) {
        Group dead{.id = fmt::format("{:036}", i), .organization_id = "org"};
        dead.project_id = "project";
        dead.spec.name = fmt::format("dead-{}", i);
        dead.dns = dead.spec.name + ".localhost";
        dead.delete_time = now;
        dead.gone = true;
        const auto done =
            tx.execute("INSERT INTO container_group VALUES ($1, $2, $3, $4)",
                       {dead.id, dead.project_id, dead.spec.name, to_json_text(dead)});
        if (!done) inserted = done.error();
      }
      return inserted;
    };
    co_return co_await database_->write(std::move(rows));
  }
  Task<Result<>> create_and_delete_one(int number) {
    FleetLoop::Command command = [number](Fleet& fleet, Moment now) -> Result<> {
      const ProjectIdentity project{"org", "acme", "project", "web"};
      TRY(const std::string id,
          create_group(fleet, project, spec_of(fmt::format("one-{}", number)), 100'000, now));
      return delete_group(fleet, id, now);
    };
    co_return co_await cloud_->fleet_loop().submit(std::move(command));
  }
  Task<Result<>> create(int number) {
    const api::GroupSpec spec = spec_of("group-" + std::to_string(number));
    FleetLoop::Command command = [spec](Fleet& fleet, Moment now) -> Result<> {
      const ProjectIdentity project{"org", "acme", "project", "web"};
      TRY_DO(create_group(fleet, project, spec, 100'000, now));
      return {};
    };
    co_return co_await cloud_->fleet_loop().submit(std::move(command));
  }
  Task<Result<>> ask_once() {
    CO_TRY_DO(co_await cloud_->fleet_loop().ask<bool>(
        [](const Fleet&, Moment) -> Result<bool> { return true; }));
    co_return Result<>();
  }
  Task<Result<>> end() {
    ending_ = true;
    co_await nodes_.stop();
    co_await cloud_->stop();
    co_return Result<>();
  }

  asio::io_context io_{1};
  RealClock clock_;
  SeededRandom random_{1};
  std::unique_ptr<store::Database> database_ = store::open_sqlite({}, cloud_migrations()).value();
  std::unique_ptr<store::Database> logs_ = store::open_sqlite({}, log_migrations()).value();
  std::unique_ptr<Cloud> cloud_;
  std::vector<link::Session*> sessions_;
  Duration longest_{};
  Duration longest_work_{};
  size_t ended_ = 0;
  bool ending_ = false;
  Scope nodes_{io_.get_executor(), "nodes"};
  Scope scope_{io_.get_executor(), "bench"};
};

void quiet() {
  setup_logging({.level = LogLevel::Error});
}

void LongestPauseWhilePlacing(benchmark::State& state) {
  quiet();
  for (auto _ : state) {
    World world;
    const TimePoint begin = world.now();
    world.create_groups();
    world.until([&] { return world.placed() == kInstances; });
    const Duration placing = world.now() - begin;
    world.until([&] { return world.running() == kInstances; });
    state.SetIterationTime(to_seconds(world.take_longest_pause()));
    state.counters["work_ms"] = millis(world.longest_work());
    state.counters["placed_s"] = to_seconds(placing);
    state.counters["running_s"] = to_seconds(world.now() - begin);
    state.counters["sessions_lost"] = static_cast<double>(world.lost());
  }
}
BENCHMARK(LongestPauseWhilePlacing)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

void LongestPauseWhenAllLeave(benchmark::State& state) {
  quiet();
  for (auto _ : state) {
    World world;
    const TimePoint begin = world.now();
    world.disconnect_all();
    world.until([&] { return world.offered() == 0; });
    state.SetIterationTime(to_seconds(world.take_longest_pause()));
    state.counters["work_ms"] = millis(world.longest_work());
    state.counters["left_ms"] = millis(world.now() - begin);
  }
}
BENCHMARK(LongestPauseWhenAllLeave)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

void OneQuestion(benchmark::State& state) {
  quiet();
  World world;
  for (auto _ : state) world.ask();
}
BENCHMARK(OneQuestion)->Unit(benchmark::kMicrosecond);

// Argument: how many groups were deleted within the retention.
void CreateAndDelete(benchmark::State& state) {
  quiet();
  World world(0, state.range(0));
  int number = 0;
  for (auto _ : state) world.create_and_delete(number++);
}
BENCHMARK(CreateAndDelete)->Arg(0)->Arg(14'000)->Iterations(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mesclun::cloud
