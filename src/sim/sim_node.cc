#include "sim/sim_node.h"

#include "api/gpu_class.h"
#include "sim/wishes.h"

namespace mesclun::sim {

namespace {

runtime::FakeRun random_run(const runtime::RunSpec& spec, const StartTimes& times, Random& random) {
  runtime::FakeRun run;
  run.create_time =
      from_seconds(std::min(times.max_seconds, log_normal(random, times.median_seconds, 0.9)));
  run.start_time = from_seconds(0.1 + random.unit());
  run.ready_after = from_seconds(1 + 20 * random.unit());
  run.stop_time = from_seconds(40 * random.unit() * random.unit());  // a few ignore SIGTERM
  // Most interruptions come from nodes; applications end by themselves now and then.
  run.exit_after = from_seconds(exponential(random, 150 * 3600.0));
  run.exit_code = random.chance(0.5) ? 0 : 1;
  if (random.chance(0.02)) run.overfills_after = from_seconds(exponential(random, 6 * 3600.0));
  if (!spec.command.empty() && spec.command.front() == kJob) {
    run.exit_after = from_seconds(exponential(random, 900));
    run.exit_code = random.chance(0.8) ? 0 : 1;
  }
  return run;
}

}  // namespace

std::string allocation_of(const runtime::RunSpec& run) {
  const json::value* id = run.label.if_contains("allocation_id");
  return id != nullptr && id->is_string() ? std::string(id->get_string()) : "";
}

link::NodeFacts random_facts(Random& random, size_t index) {
  constexpr std::string_view kCountries[] = {"us", "us", "us", "de", "fr", "gb", "ca", "jp", "br"};
  constexpr int32_t kCores[] = {4, 6, 8, 8, 12, 16};
  link::NodeFacts facts;
  facts.hostname = "sim-" + std::to_string(index);
  facts.country = kCountries[random.below(std::size(kCountries))];
  facts.cpu = kCores[random.below(std::size(kCores))];
  facts.memory_mb = facts.cpu * 2048;
  facts.storage_mb = 200'000;
  facts.runtime = "fake";
  if (random.chance(0.7)) {
    const auto& classes = api::known_gpu_classes();
    const api::GpuClass& gpu = classes[random.below(classes.size())];
    facts.gpus.push_back({.class_id = gpu.id, .name = gpu.name, .pretended = true});
    // Of the same class or another.
    if (random.chance(0.3)) {
      const api::GpuClass& second =
          random.chance(0.5) ? gpu : classes[random.below(classes.size())];
      facts.gpus.push_back({.class_id = second.id, .name = second.name, .pretended = true});
    }
  }
  return facts;
}

struct SimNode::Life final : link::Dialer {
  explicit Life(SimNode& node)
      : network(node.network_),
        index(node.index_),
        kernel(node.kernel_),
        kill(node.executor_),
        off(kill.on_kill([this] { kernel.set_power(!power_too); })),
        store(node.disk_, kill),
        driver(node.driver_, kill),
        agent({.executor = node.executor_,
               .clock = node.clock_,
               .random = node.random_,
               .driver = driver,
               .store = store,
               .dialer = *this},
              settings(), node.facts_, node.join_token_) {}

  Task<Result<link::SessionPtr>> dial() override {
    CO_TRY_DO(co_await kill.pass_or_hang());
    CO_TRY(link::SessionPtr session, co_await network.dial(index, Network::Door::Agents));
    co_return std::make_unique<MortalSession>(std::move(session), kill, kernel);
  }
  static agent::AgentSettings settings() {
    agent::AgentSettings settings;
    // Simulated applications print nothing; looking for it would be most of the work.
    settings.logs.interval = 1h;
    return settings;
  }

  Network& network;
  size_t index;
  Kernel& kernel;
  KillSwitch kill;
  std::shared_ptr<void> off;
  bool power_too = false;
  agent::MortalStore store;
  runtime::MortalDriver driver;
  agent::NodeAgent agent;
};

SimNode::SimNode(size_t index, const asio::any_io_executor& executor, Clock& clock, Random& random,
                 Network& network, link::NodeFacts facts, std::string join_token, StartTimes times)
    : index_(index),
      executor_(executor),
      clock_(clock),
      random_(random),
      network_(network),
      facts_(std::move(facts)),
      join_token_(std::move(join_token)),
      disk_(clock),
      driver_(executor, clock, random, [times](const runtime::RunSpec& spec, Random& dice) {
        return random_run(spec, times, dice);
      }) {}

SimNode::~SimNode() = default;

bool SimNode::agent_runs() const {
  return life_ != nullptr && !life_->kill.dead();
}

Task<Result<>> SimNode::boot() {
  if (agent_runs()) {
    life_->kill.arm(0);
    co_return Result<>();
  }
  co_await bury();
  if (!powered_) changed_at_ = clock_.now();
  powered_ = true;
  kernel_.set_power(true);
  life_ = std::make_unique<Life>(*this);
  CO_TRY_DO(co_await life_->agent.start());
  machine_id_ = life_->agent.machine_id();
  co_return Result<>();
}

// A killed agent's memory.
Task<void> SimNode::bury() {
  if (!life_) co_return;
  co_await life_->agent.close();
  life_.reset();
}

Task<void> SimNode::stop_agent() {
  co_await bury();
}

Task<void> SimNode::kill_agent() {
  if (life_) life_->kill.kill();
  co_await bury();
}

void SimNode::kill_before(uint64_t effect, bool power_too) {
  if (!agent_runs()) return;
  life_->power_too = power_too;
  life_->kill.arm(effect);
}

Task<Result<>> SimNode::wait_killed(TimePoint when) {
  if (life_) co_return co_await life_->kill.wait_until(clock_, when);
  co_return Result<>();
}

Task<void> SimNode::power_off() {
  powered_ = false;
  changed_at_ = clock_.now();
  kernel_.set_power(false);
  if (life_) {
    life_->power_too = true;
    life_->kill.kill();
  }
  driver_.reboot();
  disk_.lose_power(random_);
  co_await bury();
}

}  // namespace mesclun::sim
