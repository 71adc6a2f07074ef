#include <gtest/gtest.h>

#include "base/log.h"

int main(int argc, char** argv) {
  mesclun::setup_logging({.level = mesclun::LogLevel::Off});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
