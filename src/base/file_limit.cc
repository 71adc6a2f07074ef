#include "base/file_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <optional>

#include "base/log.h"

namespace mesclun {

namespace {

// Written once, at the start, before there are children.
std::optional<rlimit> g_before;

}  // namespace

size_t raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (!g_before) g_before = limit;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<size_t>(limit.rlim_cur);
}

void restore_file_limit() {
  if (g_before) ::setrlimit(RLIMIT_NOFILE, &*g_before);
}

size_t files_for_connections(size_t limit, size_t wanted, size_t reserve) {
  return std::min(wanted, std::max<size_t>(limit - std::min(reserve, limit * 3 / 4), 1));
}

size_t fit_connections(std::string_view what, size_t wanted, size_t reserve) {
  const size_t limit = raise_file_limit();
  const size_t fit = files_for_connections(limit, wanted, reserve);
  if (fit < wanted) {
    log_warning("files",
                "the limit of open files is low: raise the hard one (ulimit -Hn, LimitNOFILE=)",
                {{"limit", limit}, {"connections", fit}, {"wanted", wanted}, {"of", what}});
  }
  return fit;
}

}  // namespace mesclun
