// Which cloud, organization and project the commands speak about, and with whose keys.
//
// Every value comes from the first of: a flag, an environment variable, a context of the context
// file, which `mesclun up` and `mesclun cloud` write. Where it came from is kept, because an error
// about a value must say where to change it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace mesclun::client {

// Looks up an environment variable; nothing if it is unset.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();

// One context, member by member. Empty: not given.
struct ContextValues {
  std::string api;      // HOST:PORT, or http://HOST:PORT with or without a path
  std::string gateway;  // HOST:PORT
  std::string organization;
  std::string project;
  std::string api_key;
  std::string operator_key;
  std::string data;     // the folder of the cloud on this machine that wrote it
  std::string context;  // only of flags: the name of the context to use, in place of the current
};

// What the context file holds.
struct Contexts {
  std::string current;
  std::map<std::string, ContextValues> all;  // by name
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

// $MESCLUN_CONTEXT, $XDG_CONFIG_HOME/mesclun/context.json or ~/.config/mesclun/context.json.
// FailedPrecondition when not even a home folder is known.
Result<std::string> context_path(const Environment& environment);

// NotFound if there is no such file; InvalidArgument, with the path, if it cannot be read as JSON. A
// file that holds the values of one context themselves has that one, "default".
Result<Contexts> load_contexts(const std::string& path);
// Replaces the file in one step, readable by its owner only; makes the folder if it is missing.
// InvalidArgument if it would be larger than what load_contexts() reads.
Result<> save_contexts(const std::string& path, const Contexts& contexts);

// Reads the file, which may be missing, lets `change` have it, and saves it, while no other process
// does so: what two change at once is both kept. Unavailable if another holds it for 5 s; an error
// of `change` leaves the file as it is.
Result<> change_contexts(const std::string& path, const std::function<Result<>(Contexts&)>& change);

// Puts the context of a cloud in and makes it the current one. It takes the place of the one that
// the same folder wrote before; else a new name: `wanted`, "local" or "local-2" and so on. Returns
// its name.
std::string put_context(Contexts& contexts, ContextValues values, const std::string& wanted = "");
// The same for the file, which may be missing; says in the log what commands now speak to.
Result<> write_context(const Environment& environment, ContextValues values);

// Flags win over the environment, which wins over the file. A missing file is no error here: what a
// command needs is asked for with require(). NotFound for a context that was named and is not there.
Result<Context> resolve_context(const ContextValues& flags, const Environment& environment);

// The value, or an error that says all the ways to give it. `flag` is the flag's name, such as
// "--project".
Result<std::string> require(const Context& context, const ContextValue& value,
                            const std::string& flag, const std::string& what);

// "salad_cloud_…f3a9": enough to tell keys apart, useless to a reader.
std::string shortened_key(const std::string& key);

}  // namespace mesclun::client
