#include "client/context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace mesclun::client {

namespace {

constexpr int kLockTries = 500;
constexpr Duration kLockPause = 10ms;
constexpr size_t kContextBytesMax = 64 * 1024;

struct Member {
  const char* name;  // in the file
  const char* flag;
  const char* variable;
  std::string ContextValues::* given;
  ContextValue Context::* resolved;
};

constexpr Member kMembers[] = {
    {"api", "--api", "MESCLUN_API", &ContextValues::api, &Context::api},
    {"gateway", "--gateway", "MESCLUN_GATEWAY", &ContextValues::gateway, &Context::gateway},
    {"organization", "--organization", "MESCLUN_ORGANIZATION", &ContextValues::organization,
     &Context::organization},
    {"project", "--project", "MESCLUN_PROJECT", &ContextValues::project, &Context::project},
    {"api_key", "--api-key", "MESCLUN_API_KEY", &ContextValues::api_key, &Context::api_key},
    {"operator_key", "--operator-key", "MESCLUN_OPERATOR_KEY", &ContextValues::operator_key,
     &Context::operator_key},
};

// The one that a flag or $MESCLUN_CONTEXT_NAME names, else the current one.
Result<ContextValues> named_context(const std::string& path, const Contexts& contexts,
                                    const ContextValues& flags, const Environment& environment) {
  std::string name = flags.context;
  if (name.empty()) name = environment("MESCLUN_CONTEXT_NAME").value_or("");
  if (name.empty()) name = contexts.current;
  if (name.empty()) return ContextValues();
  const auto found = contexts.all.find(name);
  if (found != contexts.all.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, values] : contexts.all) names.push_back(known);
  return Error::not_found(
      fmt::format("context file {} has no context '{}'; it has {}", path, name,
                  names.empty() ? "none" : fmt::to_string(fmt::join(names, ", "))));
}

Result<ContextValues> read_values(const std::string& path, const json::object& object) {
  ContextValues values;
  const auto read = [&](const char* name, std::string& out) -> Result<> {
    const json::value* found = object.if_contains(name);
    if (found == nullptr || found->is_null()) return {};
    if (!found->is_string()) {
      return Error::invalid(fmt::format("context file {}: {} must be a string", path, name));
    }
    out = std::string(found->get_string());
    return {};
  };
  for (const Member& member : kMembers) TRY_DO(read(member.name, values.*member.given));
  TRY_DO(read("data", values.data));
  return values;
}

json::object values_document(const ContextValues& values) {
  json::object document;
  for (const Member& member : kMembers) {
    if (!(values.*member.given).empty()) document[member.name] = values.*member.given;
  }
  if (!values.data.empty()) document["data"] = values.data;
  return document;
}

Result<> make_parent(const std::filesystem::path& target) {
  if (!target.has_parent_path()) return {};
  std::error_code error;
  std::filesystem::create_directories(target.parent_path(), error);
  if (!error) return {};
  return Error::unavailable(
      fmt::format("cannot make the folder {}: {}", target.parent_path().string(), error.message()));
}

// Held while the file is read, changed and replaced. On a file of its own, because the file itself
// is another one afterwards.
Result<Descriptor> lock_beside(const std::string& path) {
  const std::string name = path + ".lock";
  Descriptor file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) {
    return Error::unavailable(fmt::format("cannot open {}: {}", name, std::strerror(errno)));
  }
  for (int tries = 0; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (tries == kLockTries) {
      return Error::unavailable(fmt::format("another process keeps {} locked", name));
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return file;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<std::string> context_path(const Environment& environment) {
  const auto set = [&](const char* name) {
    std::optional<std::string> value = environment(name);
    return value && !value->empty() ? value : std::nullopt;
  };
  if (const auto path = set("MESCLUN_CONTEXT")) return *path;
  if (const auto folder = set("XDG_CONFIG_HOME")) return *folder + "/mesclun/context.json";
  if (const auto home = set("HOME")) return *home + "/.config/mesclun/context.json";
  return Error{ErrorCode::FailedPrecondition,
               "neither MESCLUN_CONTEXT nor XDG_CONFIG_HOME nor HOME is set: there is no place for "
               "the context file"};
}

Result<Contexts> load_contexts(const std::string& path) {
  TRY(const std::string text, read_file(path, kContextBytesMax));
  const auto document = parse_json(text);
  if (!document || !document->is_object()) {
    return Error::invalid(fmt::format("context file {}: {}; `mesclun up` writes a new one", path,
                                      document ? "not a JSON object" : document.error().message));
  }
  Contexts contexts;
  const json::object& object = document->get_object();
  const json::value* all = object.if_contains("contexts");
  if (all == nullptr) {
    TRY(contexts.all["default"], read_values(path, object));
    contexts.current = "default";
    return contexts;
  }
  if (!all->is_object()) {
    return Error::invalid(fmt::format("context file {}: contexts must be an object", path));
  }
  for (const auto& [name, values] : all->get_object()) {
    if (!values.is_object()) {
      return Error::invalid(fmt::format("context file {}: {} must be an object", path, name));
    }
    TRY(contexts.all[std::string(name)], read_values(path, values.get_object()));
  }
  const json::value* current = object.if_contains("current");
  if (current != nullptr && current->is_string()) contexts.current = current->get_string();
  return contexts;
}

Result<> save_contexts(const std::string& path, const Contexts& contexts) {
  json::object all;
  for (const auto& [name, values] : contexts.all) all[name] = values_document(values);
  const json::object document{{"current", contexts.current}, {"contexts", std::move(all)}};
  TRY_DO(make_parent(path));
  const std::string text = json::serialize(document) + "\n";
  if (text.size() > kContextBytesMax) {
    return Error::invalid(
        fmt::format("the context file {} would have more than {} bytes; `mesclun context remove` "
                    "makes room",
                    path, kContextBytesMax));
  }
  // The keys in it are told only once.
  return replace_file(path, text, Durability::PowerLoss);
}

Result<> change_contexts(const std::string& path,
                         const std::function<Result<>(Contexts&)>& change) {
  TRY_DO(make_parent(path));
  TRY(const Descriptor lock, lock_beside(path));
  Contexts contexts;
  if (auto loaded = load_contexts(path)) {
    contexts = *std::move(loaded);
  } else if (loaded.code() != ErrorCode::NotFound) {
    return loaded.error();
  }
  TRY_DO(change(contexts));
  return save_contexts(path, contexts);
}

std::string put_context(Contexts& contexts, ContextValues values, const std::string& wanted) {
  std::string name;
  for (const auto& [known, of] : contexts.all) {
    if (!values.data.empty() && of.data == values.data) name = known;
  }
  const std::string first = wanted.empty() ? "local" : wanted;
  if (name.empty()) name = first;
  for (int number = 2; contexts.all.contains(name) && contexts.all[name].data != values.data;
       ++number) {
    name = fmt::format("{}-{}", first, number);
  }
  ContextValues& kept = contexts.all[name];
  for (const Member& member : kMembers) {
    // What a person has set and the cloud does not know stays.
    if ((values.*member.given).empty()) values.*member.given = kept.*member.given;
  }
  kept = std::move(values);
  contexts.current = name;
  return name;
}

Result<> write_context(const Environment& environment, ContextValues values) {
  TRY(const std::string path, context_path(environment));
  std::string before;
  std::string name;
  TRY_DO(change_contexts(path, [&](Contexts& contexts) -> Result<> {
    before = contexts.current;
    name = put_context(contexts, std::move(values));
    return {};
  }));
  if (!before.empty() && before != name) {
    log_info("context", "commands speak to this cloud now; `mesclun context use` goes back",
             {{"context", name}, {"before", before}});
  }
  return {};
}

Result<Context> resolve_context(const ContextValues& flags, const Environment& environment) {
  Context context;
  ContextValues file;
  // Without any home folder flags and variables still work.
  if (Result<std::string> path = context_path(environment)) {
    context.path = *std::move(path);
    Result<Contexts> loaded = load_contexts(context.path);
    if (loaded) {
      TRY(file, named_context(context.path, *loaded, flags, environment));
      context.file_found = true;
    } else if (loaded.code() != ErrorCode::NotFound) {
      return loaded.error();
    }
  }
  for (const Member& member : kMembers) {
    ContextValue& value = context.*member.resolved;
    if (!(flags.*member.given).empty()) {
      value = {flags.*member.given, member.flag};
    } else if (const auto set = environment(member.variable); set && !set->empty()) {
      value = {*set, member.variable};
    } else if (!(file.*member.given).empty()) {
      value = {file.*member.given, context.path};
    }
  }
  return context;
}

Result<std::string> require(const Context& context, const ContextValue& value,
                            const std::string& flag, const std::string& what) {
  if (!value.text.empty()) return value.text;
  std::string variable = "MESCLUN_";
  for (char c : flag.substr(2)) {
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  const std::string why = context.path.empty() ? "no context file"
                          : context.file_found ? "it is not in the context file " + context.path
                                               : "there is no context file " + context.path;
  return Error{ErrorCode::FailedPrecondition,
               fmt::format("no {} given, and {}.\nStart a cloud with `mesclun up`, which writes "
                           "that file, or give {} or set {}.",
                           what, why, flag, variable)};
}

std::string shortened_key(const std::string& key) {
  if (key.size() < 16) return "…";
  return key.substr(0, 6) + "…" + key.substr(key.size() - 4);
}

}  // namespace mesclun::client
