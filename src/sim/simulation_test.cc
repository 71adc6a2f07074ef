#include "sim/simulation.h"

#include <gtest/gtest.h>

namespace mesclun::sim {
namespace {

SimResult run_small(uint64_t seed, size_t nodes, double hours) {
  SimSettings settings{.nodes = nodes, .hours = hours, .heal_hours = 1.5, .seed = seed};
  settings.faults.churn_factor = 40;  // gateways are few
  Simulation simulation(settings);
  return simulation.run([](double) {});
}

// Goal: the same seed replays. Method: the same small run twice, and another seed for contrast.
TEST(Simulation, TheSameSeedGivesTheSameTrace) {
  const SimResult first = run_small(7, 30, 1);
  const SimResult second = run_small(7, 30, 1);
  EXPECT_EQ(first.trace_hash, second.trace_hash);
  EXPECT_EQ(first.events, second.events);
  EXPECT_NE(first.trace_hash, run_small(8, 30, 1).trace_hash);
}

// Goal: no fault breaks an invariant, and all heals. Method: several seeds over a small fleet.
TEST(Simulation, InvariantsHoldAndEverythingHeals) {
  size_t done = 0;
  uint64_t gateway_faults = 0;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const SimResult result = run_small(seed, 40, 2);
    for (const std::string& violation : result.violations) {
      ADD_FAILURE() << "seed " << seed << ": " << violation;
    }
    EXPECT_GT(result.node_faults, 0u);
    gateway_faults += result.gateway_faults;
    EXPECT_GT(result.serving, 0u);
    done += result.done;
  }
  EXPECT_GT(gateway_faults, 0u);
  EXPECT_GT(done, 0u);  // of jobs
}

// Goal: the size of a real fleet. Method: a thousand nodes, most of them joining and many failing
// within a short time; long runs are made by hand with `mesclun sim`.
TEST(Simulation, AThousandNodes) {
  SimSettings settings{.nodes = 1000, .hours = 0.25, .heal_hours = 0.25, .seed = 11};
  settings.faults.churn_factor = 40;
  settings.starts = {.median_seconds = 60, .max_seconds = 300};
  Simulation simulation(settings);
  const SimResult result = simulation.run([](double) {});
  for (const std::string& violation : result.violations) ADD_FAILURE() << violation;
  EXPECT_GT(result.node_faults, 30u);
  EXPECT_GT(result.serving, 0u);
}

}  // namespace
}  // namespace mesclun::sim
