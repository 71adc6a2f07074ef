// What instances use: a table, once or again and again.
#pragma once

#include "client/command.h"

namespace mesclun::client {

struct StatsOptions {
  std::string group;  // empty: of all
  bool once = false;
  Duration period = 1s;
};

// On a terminal until Ctrl-C, unless `once`; a cloud that is away is waited for. Elsewhere once.
Task<Result<>> show_stats(Session& session, StatsOptions options);

// The table; a dash for what nobody has told.
std::string render_stats(const std::vector<StatsView>& instances);

}  // namespace mesclun::client
