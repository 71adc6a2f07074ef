// Which cloud, organization and project the commands speak about, and with whose keys.
//
// Every value comes from the first of: a flag, an environment variable, the context file that
// `mesclun up` writes. Where it came from is kept, because an error about a value must say where to
// change it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace mesclun::client {

// What the context file holds, member by member. Empty: not given.
struct ContextValues {
  std::string api;      // HOST:PORT, or http://HOST:PORT with or without a path
  std::string gateway;  // HOST:PORT
  std::string organization;
  std::string project;
  std::string api_key;
  std::string operator_key;
};

struct ContextValue {
  std::string text;
  std::string source;  // "--api", "MESCLUN_API", or the path of the file
};

struct Context {
  ContextValue api;
  ContextValue gateway;
  ContextValue organization;
  ContextValue project;
  ContextValue api_key;
  ContextValue operator_key;
  std::string path;         // of the context file
  bool file_found = false;  // false: every value above is from flags or the environment
};

// Looks up an environment variable; nothing if it is unset.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();

// $MESCLUN_CONTEXT, $XDG_CONFIG_HOME/mesclun/context.json or ~/.config/mesclun/context.json.
// FailedPrecondition when not even a home folder is known.
Result<std::string> context_path(const Environment& environment);

// NotFound if there is no such file; InvalidArgument, with the path, if it cannot be read as JSON.
Result<ContextValues> load_context(const std::string& path);
// Replaces the file in one step, readable by its owner only; makes the folder if it is missing.
Result<> save_context(const std::string& path, const ContextValues& values);

// Flags win over the environment, which wins over the file. A missing file is no error here: what a
// command needs is asked for with require().
Result<Context> resolve_context(const ContextValues& flags, const Environment& environment);

// The value, or an error that says all the ways to give it. `flag` is the flag's name, such as
// "--project".
Result<std::string> require(const Context& context, const ContextValue& value,
                            const std::string& flag, const std::string& what);

// "salad_cloud_…f3a9": enough to tell keys apart, useless to a reader.
std::string shortened_key(const std::string& key);

}  // namespace mesclun::client
