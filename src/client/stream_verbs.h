// `mesclun logs` and `mesclun events`: sequences that grow, printed once or followed.
#pragma once

#include "client/command.h"

namespace mesclun::client {

struct StreamOptions {
  std::string group;
  std::string instance;  // an id or the beginning of one; empty: all
  std::string query;     // of logs, in the query language of log-entries; empty: all
  int64_t tail = 100;
  std::optional<Duration> since;  // only what is not older than that, of the newest `tail`
  bool follow = false;
  // While following, how long a cloud that cannot be reached is waited for.
  Duration patience = 5min;
};

enum class StreamKind { Logs, Events };

// Prints the newest `tail` items, oldest first, and with `follow` whatever comes after them, until
// Ctrl-C or until the group is deleted. With -o json: the API's document, and one item a line when
// following.
Task<Result<>> show_stream(Session& session, StreamKind kind, StreamOptions options);

// One line for people, without a line break.
std::string format_event(const EventView& event);
std::string format_log_line(const LogLineView& line, bool for_terminal);

}  // namespace mesclun::client
