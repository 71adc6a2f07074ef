#include "client/context.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace mesclun::client {

namespace {

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

Result<ContextValues> load_context(const std::string& path) {
  TRY(const std::string text, read_file(path, kContextBytesMax));
  const auto document = parse_json(text);
  if (!document || !document->is_object()) {
    return Error::invalid(fmt::format("context file {}: {}; `mesclun up` writes a new one", path,
                                      document ? "not a JSON object" : document.error().message));
  }
  ContextValues values;
  for (const Member& member : kMembers) {
    const json::value* found = document->get_object().if_contains(member.name);
    if (found == nullptr || found->is_null()) continue;
    if (!found->is_string()) {
      return Error::invalid(fmt::format("context file {}: {} must be a string", path, member.name));
    }
    values.*member.given = std::string(found->get_string());
  }
  return values;
}

Result<> save_context(const std::string& path, const ContextValues& values) {
  json::object document;
  for (const Member& member : kMembers) {
    if (!(values.*member.given).empty()) document[member.name] = values.*member.given;
  }
  const std::filesystem::path target(path);
  if (target.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(target.parent_path(), error);
    if (error) {
      return Error::unavailable(fmt::format("cannot make the folder {}: {}",
                                            target.parent_path().string(), error.message()));
    }
  }
  // The keys in it are told only once.
  return replace_file(path, json::serialize(document) + "\n", Durability::PowerLoss);
}

Result<Context> resolve_context(const ContextValues& flags, const Environment& environment) {
  Context context;
  ContextValues file;
  // Without any home folder flags and variables still work.
  if (Result<std::string> path = context_path(environment)) {
    context.path = *std::move(path);
    Result<ContextValues> loaded = load_context(context.path);
    if (loaded) {
      file = *std::move(loaded);
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
