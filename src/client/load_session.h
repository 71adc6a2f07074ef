// One run of `mesclun load`: signals, progress, lines out, table.
#pragma once

#include <cstdio>

#include "client/http_transport.h"
#include "client/load_report.h"
#include "client/output.h"

namespace mesclun::client {

struct LoadSettings {
  HttpUrl address;
  LoadPlan plan;
  TrafficSettings traffic;
  LineOptions lines;
  bool json = false;               // lines to standard output, the table to standard error
  std::FILE* lines_out = nullptr;  // and lines here; may be null
  std::string lines_name;          // of that file, for people
  uint64_t seed = 0;               // of the jitter; 0: another one each time
  Duration grace = 5s;             // for what is under way when somebody stops the run
};

// Exit status: 0 when every request succeeded in the end, 1 when some failed, 130 after Ctrl-C and
// 143 after SIGTERM; the table is printed in any case. A second signal ends the process at once.
int run_load(LoadSettings settings, const Console& console);

}  // namespace mesclun::client
