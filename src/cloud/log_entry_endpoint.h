// Log entries of an organization (api.md §11).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/log_search.h"
#include "cloud/log_table.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class LogEntryEndpoint {
 public:
  LogEntryEndpoint(Clock& clock, const Accounts& accounts, LogTable& logs,
                   LogSearchSettings settings)
      : clock_(clock), accounts_(accounts), logs_(logs), settings_(settings) {}

  // `target.rest` is log-entries.
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  Result<LogSearch> read_search(const HttpRequest& request, std::string organization_id) const;
  Answer search(LogSearch search, std::string organization_name);

  // Constant after construction.
  Clock& clock_;
  const Accounts& accounts_;
  LogTable& logs_;
  const LogSearchSettings settings_;
  // The loop only.
  std::map<std::string, size_t> searching_;  // under way, by organization
};

}  // namespace mesclun::cloud
