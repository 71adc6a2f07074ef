#include "sim/sim_node.h"

#include "api/gpu_class.h"

namespace mesclun::sim {

namespace {

runtime::FakeRun random_run(const StartTimes& times, Random& random) {
  runtime::FakeRun run;
  run.create_time =
      from_seconds(std::min(times.max_seconds, log_normal(random, times.median_seconds, 0.9)));
  run.start_time = from_seconds(0.1 + random.unit());
  run.ready_after = from_seconds(1 + 20 * random.unit());
  run.stop_time = from_seconds(40 * random.unit() * random.unit());  // a few ignore SIGTERM
  // Most interruptions come from nodes; applications end by themselves now and then.
  run.exit_after = from_seconds(exponential(random, 150 * 3600.0));
  run.exit_code = random.chance(0.5) ? 0 : 1;
  return run;
}

}  // namespace

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
  }
  return facts;
}

SimNode::SimNode(size_t index, const asio::any_io_executor& executor, Clock& clock, Random& random,
                 Network& network, link::NodeFacts facts, std::string join_token, StartTimes times)
    : index_(index),
      executor_(executor),
      clock_(clock),
      random_(random),
      facts_(std::move(facts)),
      join_token_(std::move(join_token)),
      dialer_(network, index),
      driver_(executor, clock, random,
              [times](const runtime::RunSpec&, Random& dice) { return random_run(times, dice); }) {}

Task<Result<>> SimNode::boot() {
  if (agent_) co_return Result<>();
  if (!powered_) changed_at_ = clock_.now();
  powered_ = true;
  agent::AgentSettings settings;
  // Simulated applications print nothing; looking for it would be most of the work.
  settings.logs.interval = 1h;
  agent_ = std::make_unique<agent::NodeAgent>(agent::NodeAgent::Parts{.executor = executor_,
                                                                      .clock = clock_,
                                                                      .random = random_,
                                                                      .driver = driver_,
                                                                      .store = store_,
                                                                      .dialer = dialer_},
                                              settings, facts_, join_token_);
  CO_TRY_DO(co_await agent_->start());
  machine_id_ = agent_->machine_id();
  co_return Result<>();
}

Task<void> SimNode::crash_agent() {
  if (!agent_) co_return;
  co_await agent_->close();
  agent_.reset();
}

Task<void> SimNode::power_off() {
  powered_ = false;
  changed_at_ = clock_.now();
  driver_.reboot();
  co_await crash_agent();
}

}  // namespace mesclun::sim
