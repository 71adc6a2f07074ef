// From mesclun-app.yaml and the environment to a Config, with every mistake found at once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "companion/config.h"

namespace mesclun::companion {

using Environment = std::map<std::string, std::string>;

struct ConfigProblem {
  std::string where;  // "mesclun-app.yaml:12" or "$MESCLUN_APP_FRONT_QUEUE_MAX"
  std::string text;   // "front.queue_max must be between 1 and 100000, not \"lots\""
};

// A setting that differs from its default, for people; secrets are starred out.
struct ConfigValue {
  std::string path;
  std::string value;
  std::string where;
};

struct LoadedConfig {
  Config config;
  std::vector<ConfigProblem> problems;
  std::vector<ConfigValue> set;
  std::vector<std::string> ignored;  // variables with our prefix that are somebody else's
};

// `file_name` is only used in messages; an empty text is an empty file. Never fails: see problems.
LoadedConfig read_config(std::string_view file_name, std::string_view text,
                         const Environment& environment);

// A line for each setting: name, type and range, default, environment variable, sentence.
std::string describe_settings();

}  // namespace mesclun::companion
