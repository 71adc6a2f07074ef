// Running one verb: context, API client, signals, exit status. The sources of commands parse the
// command line and call this; what a verb does is in the *_verbs files.
#pragma once

#include <functional>

#include "client/api_client.h"
#include "client/context.h"
#include "client/output.h"

namespace mesclun::client {

enum class OutputFormat { Table, Json };
// What must be known before a verb makes sense.
enum class Needs { Project, Organization, Operator, OperatorInOrganization };

// Flags that every verb takes.
struct CommonOptions {
  ContextValues context;
  OutputFormat format = OutputFormat::Table;
  Duration request_timeout = 30s;
  Duration rate_limit_wait = 60s;
};

// What a verb works with. Lives as long as the verb runs.
struct Session {
  Clock& clock;
  const Console& console;
  ApiClient& api;
  const Context& context;
  OutputFormat format;

  bool json() const { return format == OutputFormat::Json; }
  void print(const json::value& document) { console.print(pretty_json(document)); }
};

// Called once; a lambda that calls a coroutine, never itself one (style.md, traps).
using Verb = std::function<Task<Result<>>(Session&)>;

// Exit status: 0 done; 1 the cloud said no, or could not be reached; 2 wrong usage; 130 after
// Ctrl-C and 143 after SIGTERM, without a message. A second signal ends the process at once.
int run_verb(const CommonOptions& options, Needs needs, const Console& console,
             const Environment& environment, const Verb& verb);
// The same for a verb that does something about signals itself, SIGHUP and SIGWINCH too: `take_signal`
// is true where nothing else is to follow.
int run_verb(const CommonOptions& options, Needs needs, const Console& console,
             const Environment& environment, const Verb& verb,
             const std::function<bool(int number)>& take_signal);

// A mistake on the command line that only the verb could see: exit status 2.
Error usage_error(std::string message);

// The error with what to do about it, in lines.
std::string explain(const Error& error, const Context& context, KeyKind key);

}  // namespace mesclun::client
