// Runs the tests, or is the shim of a run that a test started.
#include <gtest/gtest.h>

#include <csignal>

#include "base/log.h"
#include "runtime/shim/shim.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    return mesclun::runtime::run_shim_command(argc - 1, argv + 1);
  }
  // As run_service() has it.
  std::signal(SIGPIPE, SIG_IGN);
  mesclun::setup_logging({.level = mesclun::LogLevel::Off});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
